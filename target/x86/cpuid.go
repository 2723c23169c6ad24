package x86

import (
	"encoding/binary"
	"math/bits"
)

// Hypervisor leaves: the signature that QEMU's translator shows.
const (
	leafHypervisor = 0x40000000
	leafExtended   = 0x80000000
	leafCentaur    = 0xC0000000
	tcgSignature   = "TCGTCGTCGTCG"
)

// CPUIDState is the part of a CPU's state that shows in CPUID.
type CPUIDState struct {
	APICID   uint32
	CR4      uint64
	XCR0     uint64
	XSS      uint64
	APICBase uint64
}

// Regs is a CPUID result: EAX, EBX, ECX, EDX.
type Regs [4]uint32

// CPUID answers the instruction for one CPU.
func (c *Config) CPUID(leaf, sub uint32, s *CPUIDState) Regs {
	leaf = c.clampLeaf(leaf)
	switch leaf {
	case leafHypervisor:
		r := vendorRegs(tcgSignature)
		return Regs{leafHypervisor + 1, r[0], r[1], r[2]}
	case leafHypervisor + 1:
		return Regs{}
	case 0:
		v := vendorRegs(c.Model.Vendor)
		return Regs{c.Level, v[0], v[2], v[1]}
	case 1:
		return c.leaf1(s)
	case 5:
		return Regs{0, 0, 3, 0} // MONITOR extensions: enumerated, interrupts break
	case 6:
		return Regs{c.Features[F6EAX]}
	case 7:
		return c.leaf7(sub, s)
	case 0xb:
		return c.leafTopology(sub, s)
	case 0xd:
		return c.leafXSAVE(sub, s)
	case leafExtended:
		v := vendorRegs(c.Model.Vendor)
		return Regs{c.XLevel, v[0], v[2], v[1]}
	case leafExtended + 1:
		return Regs{c.Signature(), 0, c.Features[F80000001ECX] | c.cmpLegacy(), c.Features[F80000001EDX]}
	case leafExtended + 2, leafExtended + 3, leafExtended + 4:
		return c.brand(int(leaf - leafExtended - 2))
	case leafExtended + 5:
		return Regs{0x01ff01ff, 0x01ff01ff, 0x40020140, 0x40020140}
	case leafExtended + 6:
		return Regs{0, 0x42004200, 0x02008140, 0x00808140}
	case leafExtended + 7:
		return Regs{0, 0, 0, c.Features[F80000007EDX]}
	case leafExtended + 8:
		return c.leafAddress()
	case leafExtended + 0xa:
		if c.Features.Has(FeatSVM) {
			return Regs{1, 0x10, 0, c.Features[F8000000AEDX]}
		}
	case leafCentaur:
		return Regs{c.XLevel2}
	case leafCentaur + 1:
		return Regs{0, 0, 0, c.Features[FC0000001EDX]}
	}
	return Regs{}
}

// clampLeaf maps leaves beyond the last one to the last basic leaf, as Intel CPUs and QEMU do.
func (c *Config) clampLeaf(leaf uint32) uint32 {
	limit := c.Level
	switch {
	case leaf >= leafCentaur:
		limit = c.XLevel2
	case leaf >= leafExtended:
		limit = c.XLevel
	case leaf >= leafHypervisor:
		limit = leafHypervisor + 1
		if c.HideHypervisor {
			limit = 0
		}
	}
	if leaf > limit {
		return c.Level
	}
	return leaf
}

// raiseLevels makes the leaves reachable that the features need, where the user has not set the last one.
func (c *Config) raiseLevels() {
	raise := func(leaf uint32) {
		last, fixed := &c.Level, c.fixed.level
		switch {
		case leaf >= leafCentaur:
			last, fixed = &c.XLevel2, c.fixed.xlevel2
		case leaf >= leafExtended:
			last, fixed = &c.XLevel, c.fixed.xlevel
		}
		if !fixed {
			*last = max(*last, leaf)
		}
	}
	for w, bits := range c.Features {
		if bits != 0 && Words[w].Leaf != leafHypervisor+1 { // those leaves say themselves how many there are
			raise(Words[w].Leaf)
		}
	}
	if c.Features.Has(FeatSVM) {
		raise(leafExtended + 0xa)
	}
}

func vendorRegs(s string) [3]uint32 {
	var b [12]byte
	copy(b[:], s)
	return [3]uint32{binary.LittleEndian.Uint32(b[0:]), binary.LittleEndian.Uint32(b[4:]), binary.LittleEndian.Uint32(b[8:])}
}

func (c *Config) Signature() uint32 {
	fam, mod := c.Model.Family, c.Model.Model
	v := uint32(c.Model.Stepping&15) | uint32(mod&15)<<4 | uint32(mod>>4)<<16
	if fam > 15 {
		return v | 0xf00 | uint32(fam-15)<<20
	}
	return v | uint32(fam)<<8
}

func (c *Config) leaf1(s *CPUIDState) Regs {
	r := Regs{c.Signature(), s.APICID<<24 | 8<<8, c.Features[F1ECX], c.Features[F1EDX]}
	if c.Features.Has(FeatXSAVE) && s.CR4&CR4OSXSAVE != 0 {
		r[2] |= 1 << 27
	}
	if s.APICBase&APICBaseEnable == 0 {
		r[3] &^= 1 << 9
	}
	if n := c.Topology.PerSocket(); n > 1 {
		r[1] |= uint32(n) << 16
		r[3] |= 1 << 28
	}
	return r
}

func (c *Config) cmpLegacy() uint32 {
	if c.Topology.PerSocket() > 1 && c.Model.Vendor == VendorAMD {
		return 1 << 1
	}
	return 0
}

func (c *Config) leaf7(sub uint32, s *CPUIDState) Regs {
	switch sub {
	case 0:
		r := Regs{0, c.Features[F7EBX], c.Features[F7ECX], c.Features[F7EDX]}
		if c.Features[F71EAX] != 0 {
			r[0] = 1
		}
		if c.Features.Has(FeatPKU) && s.CR4&CR4PKE != 0 {
			r[2] |= 1 << 4
		}
		return r
	case 1:
		return Regs{c.Features[F71EAX]}
	}
	return Regs{}
}

// width is the number of bits of an APIC identifier that n values need.
func width(n int) uint32 { return uint32(bits.Len(uint(max(n, 1) - 1))) }

func (c *Config) leafTopology(sub uint32, s *CPUIDState) Regs {
	t := c.Topology
	smt, core := width(t.Threads), width(t.Cores)+width(t.Dies)+width(t.Threads)
	switch sub {
	case 0:
		return Regs{smt, uint32(max(t.Threads, 1)), 0x100, s.APICID}
	case 1:
		return Regs{core, uint32(t.PerSocket()), 0x201, s.APICID}
	}
	return Regs{0, 0, sub & 0xff, s.APICID}
}

func (c *Config) leafXSAVE(sub uint32, s *CPUIDState) Regs {
	mask := c.XCR0Mask()
	if mask == 0 {
		return Regs{}
	}
	switch sub {
	case 0:
		return Regs{uint32(mask), XSize(s.XCR0), XSize(mask), uint32(mask >> 32)}
	case 1:
		r := Regs{c.Features[FXSAVE]}
		if c.Features[FXSAVE]&(1<<1|1<<3) != 0 {
			r[1] = XSizeCompact(s.XCR0 | s.XSS)
		}
		return r
	}
	for _, x := range XComponents {
		if uint32(x.Bit) == sub && mask>>x.Bit&1 != 0 {
			return Regs{uint32(x.Size), uint32(x.Offset)}
		}
	}
	return Regs{}
}

func (c *Config) brand(part int) Regs {
	var b [48]byte
	copy(b[:], c.Model.ModelID)
	var r Regs
	for i := range r {
		r[i] = binary.LittleEndian.Uint32(b[part*16+i*4:])
	}
	return r
}

func (c *Config) leafAddress() Regs {
	r := Regs{uint32(c.PhysBits), c.Features[F80000008EBX]}
	if c.Features.Has(FeatLM) {
		virt := uint32(48)
		if c.Features.Has(FeatLA57) {
			virt = 57
		}
		r[0] |= virt << 8
	}
	if n := c.Topology.PerSocket(); n > 1 {
		r[2] = width(n)<<12 | uint32(n-1)
	}
	return r
}
