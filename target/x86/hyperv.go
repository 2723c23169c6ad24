package x86

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
)

// HVFeature is a part of Hyper-V's interface for guests (Hypervisor Top Level Functional Specification, "Feature and Interface Discovery").
type HVFeature uint8

// The parts.
const (
	HVRelaxed HVFeature = iota
	HVVAPIC
	HVTime
	HVCrash
	HVReset
	HVVPIndex
	HVRuntime
	HVSynIC
	HVSTimer
	HVFrequencies
	HVReenlightenment
	HVTLBFlush
	HVIPI
	HVSTimerDirect
	HVAVIC
	HVXMMInput
	HVTLBFlushExt
	numHVFeatures
)

// Leaves of the interface.
const (
	HVLeafVendor = 0x40000000 + iota
	HVLeafInterface
	HVLeafVersion
	HVLeafFeatures
	HVLeafAdvice
	HVLeafLimits
)

// Bits of HVLeafFeatures and HVLeafAdvice that no single part stands for.
const (
	HVHypercalls     = 1 << 5  // features, EAX
	hvPartitioning   = 1 << 3  // features, EDX
	HVUseVAPIC       = 1 << 3  // advice, EAX
	hvProcessorMasks = 1 << 11 // advice, EAX
	hvNoCoreSharing  = 1 << 18 // advice, EAX
	hvInterface      = 0x31237648
	hvVendor         = "Microsoft Hv"
	hvVirtualCPUs    = math.MaxUint32
	hvLogicalCPUs    = 64
	hvNeverNotify    = math.MaxUint32 // spin without end
	hvVersionMajor   = 10
	hvVersionBuild   = 0x3839
	hvVendorSize     = 12
	hvMajorShift     = 16
	hvBranchShift    = 24
	hvNumberMask     = 1<<hvBranchShift - 1
	regEAX, regEDX   = 0, 3
	textNotSupported = "Hyper-V %s is not supported by kernel"
	textNeeds        = "Hyper-V %s requires Hyper-V %s"
)

// hvBits are bits of a leaf's register.
type hvBits struct {
	leaf uint32
	reg  int
	bits uint32
}

// hvFeatures describes the parts: the name of the property, the text of messages, the bits, and what they need.
var hvFeatures = [numHVFeatures]struct {
	name, text string
	bits       []hvBits
	needs      []HVFeature
}{
	HVRelaxed:         {"hv-relaxed", "relaxed timing (hv-relaxed)", []hvBits{{HVLeafAdvice, regEAX, 1 << 5}}, nil},
	HVVAPIC:           {"hv-vapic", "virtual APIC (hv-vapic)", []hvBits{{HVLeafFeatures, regEAX, 1 << 4}}, nil},
	HVTime:            {"hv-time", "clocksources (hv-time)", []hvBits{{HVLeafFeatures, regEAX, 1<<1 | 1<<9}}, nil},
	HVCrash:           {"hv-crash", "crash MSRs (hv-crash)", []hvBits{{HVLeafFeatures, regEDX, 1 << 10}}, nil},
	HVReset:           {"hv-reset", "reset MSR (hv-reset)", []hvBits{{HVLeafFeatures, regEAX, 1 << 7}}, nil},
	HVVPIndex:         {"hv-vpindex", "VP_INDEX MSR (hv-vpindex)", []hvBits{{HVLeafFeatures, regEAX, 1 << 6}}, nil},
	HVRuntime:         {"hv-runtime", "VP_RUNTIME MSR (hv-runtime)", []hvBits{{HVLeafFeatures, regEAX, 1 << 0}}, nil},
	HVSynIC:           {"hv-synic", "synthetic interrupt controller (hv-synic)", []hvBits{{HVLeafFeatures, regEAX, 1 << 2}}, nil},
	HVSTimer:          {"hv-stimer", "synthetic timers (hv-stimer)", []hvBits{{HVLeafFeatures, regEAX, 1 << 3}}, []HVFeature{HVTime, HVSynIC}},
	HVFrequencies:     {"hv-frequencies", "frequency MSRs (hv-frequencies)", []hvBits{{HVLeafFeatures, regEAX, 1 << 11}, {HVLeafFeatures, regEDX, 1 << 8}}, nil},
	HVReenlightenment: {"hv-reenlightenment", "reenlightenment MSRs (hv-reenlightenment)", []hvBits{{HVLeafFeatures, regEAX, 1 << 13}}, nil},
	HVTLBFlush:        {"hv-tlbflush", "paravirtualized TLB flush (hv-tlbflush)", []hvBits{{HVLeafAdvice, regEAX, 1<<2 | hvProcessorMasks}}, []HVFeature{HVVPIndex}},
	HVIPI:             {"hv-ipi", "paravirtualized IPI (hv-ipi)", []hvBits{{HVLeafAdvice, regEAX, 1<<10 | hvProcessorMasks}}, []HVFeature{HVVPIndex}},
	HVSTimerDirect:    {"hv-stimer-direct", "direct mode synthetic timers (hv-stimer-direct)", []hvBits{{HVLeafFeatures, regEDX, 1 << 19}}, []HVFeature{HVSTimer}},
	HVAVIC:            {"hv-avic", "AVIC/APICv support (hv-avic/hv-apicv)", []hvBits{{HVLeafAdvice, regEAX, 1 << 9}}, nil},
	HVXMMInput:        {"hv-xmm-input", "XMM fast hypercall input (hv-xmm-input)", []hvBits{{HVLeafFeatures, regEDX, 1 << 4}}, nil},
	HVTLBFlushExt:     {"hv-tlbflush-ext", "Extended gva ranges for TLB flush hypercalls (hv-tlbflush-ext)", []hvBits{{HVLeafFeatures, regEDX, 1 << 14}}, []HVFeature{HVTLBFlush}},
}

// HyperV says what of Hyper-V's interface a guest sees.
type HyperV struct {
	parts       uint32 // bits by HVFeature
	Enforce     bool   // the guest can use what its CPUID shows and nothing else
	Passthrough bool   // everything that the host has
	spin        uint32 // how often a guest tries a lock before it tells; 0: hv-spinlocks was not given
	vendor      string
	version     struct{ build, major, minor, pack, branch, number uint32 }
	sharing     string          // hv-no-nonarch-coresharing: "on", "auto" or ""
	host        map[uint32]Regs // leaves that the host supports
}

// On tells whether a guest sees anything of it.
func (h *HyperV) On() bool { return h.parts != 0 || h.spin != 0 || h.Passthrough }

// Has tells whether a guest sees a part.
func (h *HyperV) Has(f HVFeature) bool { return h.parts>>f&1 != 0 }

// Blocker is why a guest with these settings cannot be migrated, if it cannot.
func (h *HyperV) Blocker() string {
	switch {
	case h.Passthrough:
		return "'hv-passthrough' CPU flag prevents migration, use explicit set of hv-* flags instead"
	case h.sharing == "auto":
		return "'hv-no-nonarch-coresharing=auto' CPU flag prevents migration use explicit 'hv-no-nonarch-coresharing=on' instead (but make sure SMT is disabled and/or that vCPUs are properly pinned)"
	}
	return ""
}

// addHyperV adds the properties of Hyper-V's interface to those of CPUs.
func addHyperV(props map[string]func(c *Config, s string) error) map[string]func(c *Config, s string) error {
	for f := range hvFeatures {
		props[hvFeatures[f].name] = boolean(func(c *Config, on bool) {
			c.HyperV.parts &^= 1 << f
			if on {
				c.HyperV.parts |= 1 << f
			}
		})
	}
	props["hv-apicv"] = props[hvFeatures[HVAVIC].name]
	props["hv-passthrough"] = boolean(func(c *Config, on bool) { c.HyperV.Passthrough = on })
	props["hv-enforce-cpuid"] = boolean(func(c *Config, on bool) { c.HyperV.Enforce = on })
	props["hv-vendor-id"] = func(c *Config, s string) error { c.HyperV.vendor = s; return nil }
	props["hv-spinlocks"] = limited(32, func(c *Config, n uint32) { c.HyperV.spin = n })
	props["hv-no-nonarch-coresharing"] = func(c *Config, s string) error {
		switch s {
		case "on", "auto":
			c.HyperV.sharing = s
		case "off":
			c.HyperV.sharing = ""
		default:
			return fmt.Errorf("Parameter 'hv-no-nonarch-coresharing' does not accept value '%s'", s)
		}
		return nil
	}
	for _, p := range []struct {
		name string
		bits int
		at   func(h *HyperV) *uint32
	}{
		{"build", 32, func(h *HyperV) *uint32 { return &h.version.build }}, {"major", 16, func(h *HyperV) *uint32 { return &h.version.major }},
		{"minor", 16, func(h *HyperV) *uint32 { return &h.version.minor }}, {"spack", 32, func(h *HyperV) *uint32 { return &h.version.pack }},
		{"sbranch", 8, func(h *HyperV) *uint32 { return &h.version.branch }}, {"snumber", 32, func(h *HyperV) *uint32 { return &h.version.number }},
	} {
		props["hv-version-id-"+p.name] = limited(p.bits, func(c *Config, n uint32) { *p.at(&c.HyperV) = n })
	}
	return props
}

// limited is a property that is a number of so many bits.
func limited(bits int, set func(*Config, uint32)) func(*Config, string) error {
	return func(c *Config, s string) error {
		n, err := strconv.ParseUint(s, 0, bits)
		if err != nil {
			return errNumber
		}
		set(c, uint32(n))
		return nil
	}
}

// expandHyperV checks what was asked for against what the host has, or takes everything that it has; host is nil for a translator.
func (c *Config) expandHyperV(host *Host) error {
	h := &c.HyperV
	if h.spin == hvNeverNotify {
		h.spin = 0
	}
	switch {
	case !h.On():
		return nil
	case host == nil:
		return errors.New("Hyper-V enlightenments (hv-*) need KVM")
	case host.HyperV == nil:
		return errors.New("Hyper-V enlightenments (hv-*): kvm does not support KVM_CAP_HYPERV")
	}
	h.host = host.HyperV
	for f := range HVFeature(numHVFeatures) {
		can := true
		for _, b := range hvFeatures[f].bits {
			can = can && h.host[b.leaf][b.reg]&b.bits == b.bits
		}
		switch {
		case h.Passthrough && can:
			h.parts |= 1 << f
		case !h.Passthrough && h.Has(f) && !can:
			return fmt.Errorf(textNotSupported, hvFeatures[f].text)
		}
	}
	if h.Passthrough {
		return nil
	}
	for f := range HVFeature(numHVFeatures) {
		for _, n := range hvFeatures[f].needs {
			if h.Has(f) && !h.Has(n) {
				return fmt.Errorf(textNeeds, hvFeatures[f].text, hvFeatures[n].text)
			}
		}
	}
	if h.Has(HVSynIC) && !h.Has(HVVPIndex) {
		return fmt.Errorf(textNeeds, hvFeatures[HVSynIC].text, hvFeatures[HVVPIndex].text)
	}
	return nil
}

// Leaves are those of the interface, from HVLeafVendor on.
func (h *HyperV) Leaves() []Regs {
	list := make([]Regs, HVLeafLimits-HVLeafVendor+1)
	at := func(leaf uint32) *Regs { return &list[leaf-HVLeafVendor] }
	for f := range HVFeature(numHVFeatures) {
		if h.Has(f) {
			for _, b := range hvFeatures[f].bits {
				at(b.leaf)[b.reg] |= b.bits
			}
		}
	}
	h.identify(at)
	at(HVLeafFeatures)[regEAX] |= HVHypercalls
	at(HVLeafFeatures)[regEDX] |= hvPartitioning
	advice := at(HVLeafAdvice)
	if h.Has(HVVAPIC) && !h.Has(HVAVIC) {
		advice[0] |= HVUseVAPIC
	}
	switch h.sharing {
	case "on":
		advice[0] |= hvNoCoreSharing
	case "auto":
		advice[0] |= h.host[HVLeafAdvice][0] & hvNoCoreSharing
	}
	return list
}

// identify fills in who the hypervisor is and what its limits are.
func (h *HyperV) identify(at func(uint32) *Regs) {
	if h.Passthrough {
		for _, leaf := range []uint32{HVLeafVendor, HVLeafInterface, HVLeafVersion, HVLeafLimits} {
			*at(leaf) = h.host[leaf]
		}
		at(HVLeafVendor)[0] = HVLeafLimits
		at(HVLeafAdvice)[1] = h.host[HVLeafAdvice][1]
		return
	}
	var vendor [hvVendorSize]byte
	copy(vendor[:], h.vendor)
	le := binary.LittleEndian
	*at(HVLeafVendor) = Regs{HVLeafLimits, le.Uint32(vendor[:]), le.Uint32(vendor[4:]), le.Uint32(vendor[8:])}
	*at(HVLeafInterface) = Regs{hvInterface}
	v := &h.version
	*at(HVLeafVersion) = Regs{v.build, v.major<<hvMajorShift | v.minor, v.pack, v.branch<<hvBranchShift | v.number&hvNumberMask}
	*at(HVLeafLimits) = Regs{hvVirtualCPUs, hvLogicalCPUs}
	at(HVLeafAdvice)[1] = h.spin
	if h.spin == 0 {
		at(HVLeafAdvice)[1] = hvNeverNotify
	}
}

// newHyperV are the settings where nothing is asked for.
func newHyperV() (h HyperV) {
	h.vendor = hvVendor
	h.version.major, h.version.build = hvVersionMajor, hvVersionBuild
	return h
}
