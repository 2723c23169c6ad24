package x86

// Model is a named CPU model: what CPUID says before the user's changes.
type Model struct {
	Name, Notes             string
	Vendor                  string // 12 characters
	Family, Model, Stepping int
	Level, XLevel           uint32
	ModelID                 string
	Features                Features
	AllFeatures             bool // everything that the accelerator implements
	PhysBits                int  // 0: 40
}

// Vendors.
const (
	VendorIntel = "GenuineIntel"
	VendorAMD   = "AuthenticAMD"
)

// sharedEDX are the bits of leaf 1 EDX that AMD repeats in leaf 0x80000001 EDX.
const sharedEDX = 0x0183f3ff

// Models are the known models.
var Models = []Model{
	{
		Name: "qemu64", Notes: "QEMU Virtual CPU version 2.5+", Vendor: VendorAMD, Family: 15, Model: 107, Stepping: 1,
		Level: 0xd, XLevel: 0x8000000A, ModelID: "QEMU Virtual CPU version 2.5+",
		Features: Features{F1EDX: 0x078bfbfd, F1ECX: 1<<0 | 1<<13, F80000001EDX: 1<<29 | 1<<11 | 1<<20, F80000001ECX: 1<<0 | 1<<2},
	},
	{
		Name: "max", Notes: "Enables all features supported by the accelerator in the current host", Vendor: VendorAMD, Family: 15, Model: 107,
		Stepping: 1, Level: 0xd, XLevel: 0x8000000A, ModelID: "QEMU TCG CPU version 2.5+", AllFeatures: true,
	},
}

// FindModel looks a model up by name.
func FindModel(name string) *Model {
	for i := range Models {
		if Models[i].Name == name {
			return &Models[i]
		}
	}
	return findNamed(name)
}

// Topology is how the virtual CPUs are grouped.
type Topology struct{ Sockets, Dies, Cores, Threads int }

// CPUs is the number of CPUs in full sockets.
func (t Topology) CPUs() int { return max(t.Sockets, 1) * t.PerSocket() }

// PerSocket is the number of threads of a socket.
func (t Topology) PerSocket() int { return max(t.Dies, 1) * max(t.Cores, 1) * max(t.Threads, 1) }

// Config is a CPU model with the user's changes applied: what a machine gives its CPUs.
type Config struct {
	Model    *Model
	Name     string // by which the model was asked for, maybe an alias; empty: the model's own
	Features Features
	Level    uint32
	XLevel   uint32
	XLevel2  uint32
	PhysBits int
	Topology Topology
	// HideHypervisor leaves out the leaves at 0x40000000.
	HideHypervisor bool
	// HideKVM leaves out those that tell a guest that KVM executes it.
	HideKVM bool
	// HideFrequency leaves out the leaf in which it tells the rate of the time stamp counter, as VMware does.
	HideFrequency bool
	TSCFrequency  uint64 // Hz; 0: the host's
	// PMU gives guests the host's performance counters, HostCaches tells of the host's caches. Both are for hardware virtualisation.
	PMU, HostCaches bool
	HyperV          HyperV

	// Filtered are the features that were asked for and are not there.
	Filtered Features

	supported      *Features                             // by the accelerator
	quiet, enforce bool                                  // check=off, enforce=on
	fixed          struct{ level, xlevel, xlevel2 bool } // set by the user: never raised
}

// NewConfig makes the configuration of a model, restricted to what the accelerator implements (supported). It returns the features
// that the model has and the accelerator has not.
func NewConfig(m *Model, supported *Features) (cfg *Config, missing Features) {
	cfg = &Config{Model: m, Level: m.Level, XLevel: m.XLevel, PhysBits: m.PhysBits, Features: m.Features, HyperV: newHyperV()}
	if cfg.PhysBits == 0 {
		cfg.PhysBits = 40
	}
	if m.AllFeatures {
		cfg.Features = *supported
		// QEMU 7.2's TCG has neither, and a kernel that is offered x2APIC without interrupt remapping complains.
		cfg.Features.Set(FeatX2APIC, false)
		cfg.Features.Set(FeatDeadline, false)
	}
	cfg.Features.Set(FeatHypervisor, true)
	cfg.finish()
	for w := range cfg.Features {
		missing[w] = cfg.Features[w] &^ supported[w]
		cfg.Features[w] &= supported[w]
	}
	return cfg, missing
}

// FeatHypervisor is the bit that tells a guest that it runs virtualised.
const FeatHypervisor = Feature(F1ECX)<<5 | 31

// dropDependent takes away the features of features that are not there.
func (c *Config) dropDependent() {
	if !c.Features.Has(FeatSVM) {
		c.Features[F8000000AEDX] = 0
	}
}

// finish keeps derived bits in step.
func (c *Config) finish() {
	c.dropDependent()
	if c.Model.Vendor == VendorAMD {
		c.Features[F80000001EDX] = c.Features[F80000001EDX]&^sharedEDX | c.Features[F1EDX]&sharedEDX
	}
	if c.Features.Has(FeatXSAVE) {
		return
	}
	c.Features[FXSAVE] = 0
}

// XCR0Mask is the set of state components that XCR0 can enable.
func (c *Config) XCR0Mask() uint64 {
	if !c.Features.Has(FeatXSAVE) {
		return 0
	}
	m := uint64(XFeatX87 | XFeatSSE)
	if c.Features.Has(FeatAVX) {
		m |= XFeatAVX
	}
	for _, x := range []struct {
		needs Feature
		bits  uint64
	}{{FeatMPX, XFeatBounds}, {FeatAVX512F, XFeatAVX512}, {FeatPKU, XFeatPKRU}, {FeatAMXTile, XFeatTiles}} {
		if c.Features.Has(x.needs) {
			m |= x.bits
		}
	}
	return m
}

// State components of XSAVE.
const (
	XFeatX87    = 1 << 0
	XFeatSSE    = 1 << 1
	XFeatAVX    = 1 << 2
	XFeatBounds = 3 << 3
	XFeatAVX512 = 7 << 5
	XFeatPKRU   = 1 << 9
	XFeatTiles  = 3 << 17
)

// XComponent is the place of an extended state component in the standard format.
type XComponent struct {
	Bit, Offset, Size int
	Aligned           bool // in the compacted format
}

// XComponents are the extended components, in order of their bits.
var XComponents = []XComponent{{2, 0x240, 0x100, false}, {3, 0x3c0, 0x40, false}, {4, 0x400, 0x40, false}, {5, 0x440, 0x40, false},
	{6, 0x480, 0x200, false}, {7, 0x680, 0x400, false}, {9, 0xa80, 8, false}, {17, 0xac0, 0x40, true}, {18, 0xb00, 0x2000, true}}

// XLegacySize is the size of the legacy area and the header.
const XLegacySize = 0x240

// XSize is the size of the standard format for a set of components, XSizeCompact of the compacted one.
func XSize(mask uint64) uint32 {
	n := XLegacySize
	for _, c := range XComponents {
		if mask>>c.Bit&1 != 0 {
			n = max(n, c.Offset+c.Size)
		}
	}
	return uint32(n)
}

// XSizeCompact is the size of the compacted format for a set of components.
func XSizeCompact(mask uint64) uint32 {
	n := XLegacySize
	for _, c := range XComponents {
		if mask>>c.Bit&1 == 0 {
			continue
		}
		if c.Aligned {
			n = (n + 63) &^ 63
		}
		n += c.Size
	}
	return uint32(n)
}
