package x86

// Bits of KVM's interface for guests (Documentation/virt/kvm/x86/cpuid.rst).
const (
	KVMClock       = 1 << 0
	KVMNoIODelay   = 1 << 1
	KVMClock2      = 1 << 3 // named as the first
	KVMAsyncPF     = 1 << 4
	KVMStealTime   = 1 << 5
	KVMPVEOI       = 1 << 6
	KVMPVUnhalt    = 1 << 7
	KVMExtDestID   = 1 << 15
	KVMClockStable = 1 << 24
	KVMDedicated   = 1 << 0 // a hint

	// kvmDefault are those that every named model has.
	kvmDefault = KVMClock | KVMNoIODelay | KVMClock2 | KVMAsyncPF | KVMStealTime | KVMPVEOI | KVMClockStable
)

// finishKVM sets the second bit of a name that has two, and leaves nothing where the interface is hidden.
func (c *Config) finishKVM() {
	f := &c.Features[F40000001EAX]
	*f = *f&^KVMClock2 | *f&KVMClock*KVMClock2
	if c.HideKVM {
		*f, c.Features[F40000001EDX] = 0, 0
	}
}

// named are the bits of a word that have names.
func (i *WordInfo) named() (bits uint32) {
	for b, n := range i.Names {
		if n != "" {
			bits |= 1 << b
		}
	}
	return bits
}

// Host is the processor that executes the guest itself: named models take over its vendor, on which code depends that looks for the
// vendor's instructions, get x2APIC, and lack what needs hardware that is busy otherwise. The models "max" and "host" are it.
type Host struct {
	Vendor                  string
	Family, Model, Stepping int
	ModelID                 string
	Level, XLevel           uint32
	PhysBits                int
	Features                Features        // that a guest can have
	X2APIC                  bool            // every model gets it
	ExtDestID               bool            // … and this part of KVM's interface
	HyperV                  map[uint32]Regs // leaves of Hyper-V's interface that guests can have; nil: none
}

// HostModel is the name of the model that is the host's processor.
const HostModel = "host"

// Find finds a model as it is on the host; nil if there is none of that name.
func (h *Host) Find(name string) *Model {
	if name == HostModel {
		name = "max"
	}
	found := FindModel(name)
	if found == nil {
		return nil
	}
	m := *found
	m.Vendor = h.Vendor
	if m.AllFeatures {
		m.Family, m.Model, m.Stepping, m.ModelID, m.PhysBits = h.Family, h.Model, h.Stepping, h.ModelID, h.PhysBits
		m.Level, m.XLevel = h.Level, h.XLevel
		return &m
	}
	m.Features.Set(FeatX2APIC, h.X2APIC)
	m.Features[F40000001EAX] = kvmDefault
	if h.ExtDestID {
		m.Features[F40000001EAX] |= KVMExtDestID
	}
	m.Features.Set(FeatMONITOR, false)
	m.Features.Set(FeatSVM, false)
	return &m
}

// adjust changes what the models that have everything have under a translator: x2APIC and the timer's deadlines if the host can give them,
// but no time stamp counter that does not change its rate, since the guest may move to another host, and no threads that the topology lacks.
func (h *Host) adjust(c *Config) {
	if !c.Model.AllFeatures {
		return
	}
	for _, f := range []Feature{FeatX2APIC, FeatDeadline} {
		c.Features.Set(f, h.Features.Has(f))
	}
	for w := range c.Features { // what nobody knows cannot be moved
		c.Features[w] &= Words[w].named()
	}
	c.Features[F40000001EDX] = 0 // a hint is the user's to give
	c.Features.Set(FeatInvTSC, false)
	c.Features.Set(FeatHT, false)
	c.PMU = true
}

// ParseHostOption is ParseOption where the host's processor executes the guest.
func ParseHostOption(option string, h *Host, defaults ...Default) (cfg *Config, warnings []string, err error) {
	return parseOption(option, &h.Features, "host", h, defaults)
}
