package x86

import (
	"cmp"
	"maps"
	"slices"
)

// TypeSuffix is what makes a model's name that of a type of objects.
const TypeSuffix = "-x86_64-cpu"

// ModelName is a name that -cpu takes, with the model that it stands for if it is another name.
type ModelName struct{ Name, Alias string }

// ModelNames are all names of models; host is nil under a translator.
func ModelNames(host *Host) []ModelName {
	out := []ModelName{{Name: "max"}}
	if host != nil {
		out = append(out, ModelName{Name: HostModel})
	}
	for i := range namedModels {
		out = append(out, ModelName{namedModels[i].name, namedModels[i].alias})
	}
	return out
}

// FeatureNames are the names of all features in alphabetical order.
func FeatureNames() (out []string) {
	for _, w := range Words {
		for _, n := range w.Names {
			if n != "" {
				out = append(out, n)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out) // one name has two bits
}

// FeatureAliases are the further spellings of features in alphabetical order.
func FeatureAliases() []string { return slices.Sorted(maps.Keys(aliases)) }

// Names are the names of the features in the set, in the order of their bits.
func (f *Features) Names() (out []string) {
	for w := range Words {
		for b, n := range Words[w].Names {
			if n != "" && f[w]>>b&1 != 0 {
				out = append(out, n)
			}
		}
	}
	return out
}

// Wanted are the features that the model and the user ask for, whether the accelerator has them or not.
func (c *Config) Wanted() Features {
	all := c.Features
	for w := range all {
		all[w] |= c.Filtered[w]
	}
	return all
}

// TypeName is the type of the CPUs' objects.
func (c *Config) TypeName() string { return cmp.Or(c.Name, c.Model.Name) + TypeSuffix }

// Property is a property of a CPU that is no feature bit.
type Property struct {
	Name, Type string
	Value      any
}

// Properties are those properties.
func (c *Config) Properties() []Property {
	m := c.Model
	return []Property{
		{"check", "bool", !c.quiet}, {"enforce", "bool", c.enforce}, {"family", "int", int64(m.Family)}, {"host-cache-info", "bool", c.HostCaches}, {"kvm", "bool", !c.HideKVM}, {"level", "uint32", uint64(c.Level)},
		{"model", "int", int64(m.Model)}, {"model-id", "string", m.ModelID}, {"phys-bits", "uint32", uint64(c.PhysBits)},
		{"pmu", "bool", c.PMU}, {"stepping", "int", int64(m.Stepping)}, {"tcg-cpuid", "bool", !c.HideHypervisor}, {"tsc-frequency", "int", int64(c.TSCFrequency)},
		{"vendor", "string", m.Vendor}, {"xlevel", "uint32", uint64(c.XLevel)}, {"xlevel2", "uint32", uint64(c.XLevel2)},
	}
}
