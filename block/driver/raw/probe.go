package raw

import (
	"bytes"
	"encoding/binary"
)

// guardSize is the part of a probed image in which a guest must not create another format's signature.
const guardSize = 512

// signature is a format's mark in the first bytes of an image.
type signature struct {
	format string
	offset int
	magic  []byte
}

// vdiSignature is the little endian number at offset 64 of a VDI image.
const vdiSignature = 0xbeda107f

// signatures are the formats that QEMU's probing recognises by their beginning.
var signatures = []signature{
	{"qcow2", 0, []byte("QFI\xfb")},
	{"qed", 0, []byte("QED\x00")},
	{"vmdk", 0, []byte("KDMV")},
	{"vmdk", 0, []byte("COWD")},
	{"vmdk", 0, []byte("# Disk DescriptorFile")},
	{"vdi", 64, binary.LittleEndian.AppendUint32(nil, vdiSignature)},
	{"vpc", 0, []byte("conectix")},
	{"vhdx", 0, []byte("vhdxfile")},
	{"luks", 0, []byte("LUKS\xba\xbe")},
	{"parallels", 0, []byte("WithoutFreeSpace")},
	{"parallels", 0, []byte("WithouFreSpacExt")},
	{"bochs", 0, []byte("Bochs Virtual HD Image")},
	{"cloop", 0, []byte("#!/bin/sh\n#V2.0 Format\nmodprobe cloop file=$0 && mount -r -t iso9660 /dev/cloop $1\n")},
}

// qcowVersion is where a qcow image says which of the two formats it is.
const (
	qcowVersion  = 4
	qcow1Version = 1
)

// Probe names the format that the first bytes of an image belong to; everything unknown is raw.
func Probe(head []byte) string {
	for _, s := range signatures {
		if len(head) < s.offset+len(s.magic) || !bytes.HasPrefix(head[s.offset:], s.magic) {
			continue
		}
		if s.format == "qcow2" && len(head) >= qcowVersion+4 && binary.BigEndian.Uint32(head[qcowVersion:]) == qcow1Version {
			return "qcow"
		}
		return s.format
	}
	return "raw"
}
