package pc

import (
	"goemu/internal/qom"
	"goemu/qapi"
	"goemu/target/x86"
)

// describe adds the properties that are the model's to those of the CPU's place.
func (c *cpuDevice) describe() {
	cfg := c.m.cfg.CPU
	n := c.QOM()
	fixed := func(name, typ string, v any) {
		n.AddProperty(qom.Property{Name: name, Type: typ, Get: func() any { return v }})
	}
	for _, name := range append(x86.FeatureNames(), x86.FeatureAliases()...) {
		f, _ := x86.FeatureByName(name)
		fixed(name, "bool", cfg.Features.Has(f))
	}
	for _, p := range cfg.Properties() {
		fixed(p.Name, p.Type, p.Value)
	}
	unavailable := []any{}
	for _, name := range cfg.Filtered.Names() {
		unavailable = append(unavailable, name)
	}
	fixed("unavailable-features", "strList", unavailable)
	fixed("feature-words", "X86CPUFeatureWordInfo", featureWords(&cfg.Features))
	fixed("filtered-features", "X86CPUFeatureWordInfo", featureWords(&cfg.Filtered))
}

// Node returns the NUMA node of a CPU; ok is false on a machine without nodes.
func (m *Machine) Node(cpu int) (node int, ok bool) {
	for i, n := range m.cfg.NUMA {
		for _, c := range n.CPUs {
			if c == cpu {
				return i, true
			}
		}
	}
	return 0, len(m.cfg.NUMA) > 0
}

// registerNames are the registers in which CPUID answers.
var registerNames = [4]string{"EAX", "EBX", "ECX", "EDX"}

// featureWords shows features as CPUID reports them.
func featureWords(f *x86.Features) any {
	var out []any
	for w, v := range f {
		i := &x86.Words[w]
		o := qapi.NewObject("features", int64(v), "cpuid-register", registerNames[i.Reg], "cpuid-input-eax", int64(i.Leaf))
		if i.Sub != 0 || i.Leaf == 7 || i.Leaf == 0xd {
			o.Set("cpuid-input-ecx", int64(i.Sub))
		}
		out = append(out, o)
	}
	return out
}
