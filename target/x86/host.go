package x86

// Host is the processor that executes the guest itself: named models take over its vendor, on which code depends that looks for the
// vendor's instructions, and the models "max" and "host" are it.
type Host struct {
	Vendor                  string
	Family, Model, Stepping int
	ModelID                 string
	Level, XLevel           uint32
	PhysBits                int
	Features                Features // that a guest can have
	X2APIC                  bool     // every model gets it
}

// HostModel is the name of the model that is the host's processor.
const HostModel = "host"

// model finds a model as it is on the host; nil if there is none of that name.
func (h *Host) model(name string) *Model {
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
	}
	return &m
}

// adjust changes what a model has elsewhere: the host can give it x2APIC, and nobody gets what needs hardware that is busy otherwise.
func (h *Host) adjust(c *Config) {
	if c.Model.AllFeatures {
		c.Features.Set(FeatX2APIC, h.Features.Has(FeatX2APIC))
		c.Features.Set(FeatDeadline, h.Features.Has(FeatDeadline))
		return
	}
	c.Features.Set(FeatX2APIC, h.X2APIC)
	c.Features.Set(FeatMONITOR, false)
}

// ParseHostOption is ParseOption where the host's processor executes the guest.
func ParseHostOption(option string, h *Host, defaults ...Default) (cfg *Config, warnings []string, err error) {
	return parseOption(option, &h.Features, "host", h, defaults)
}
