package hostcpu

import (
	"encoding/binary"
	"strings"
)

// Signature is what the processor's vendor calls it by (Intel SDM volume 2, CPUID leaf 1).
func Signature() (family, model, stepping int) {
	v := int(CPUID(LeafFeatures, 0)[0])
	family, model, stepping = v>>8&15, v>>4&15, v&15
	if family == 6 || family == 15 {
		model |= v >> 16 & 15 << 4
	}
	if family == 15 {
		family += v >> 20 & 0xff
	}
	return family, model, stepping
}

// Brand is the processor's name as it states it itself.
func Brand() string {
	var b []byte
	for leaf := uint32(LeafExtended + 2); leaf <= LeafExtended+4; leaf++ {
		for _, r := range CPUID(leaf, 0) {
			b = binary.LittleEndian.AppendUint32(b, r)
		}
	}
	return strings.TrimRight(string(b), "\x00")
}
