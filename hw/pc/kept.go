package pc

import (
	"fmt"
	"strings"

	"goemu/hw/qdev"
	"goemu/migration/vmstate"
)

// QEMU's PC always has chips that this machine does not have, or that mean nothing to it. When a machine comes in from QEMU their state
// is kept as bytes, and it goes along when the machine moves on.

// keptLayout is the form of such a state.
type keptLayout struct {
	name    string
	version int
	parts   []keptPart
	subs    []*keptLayout
}

// keptPart is a number of bytes, or another layout.
type keptPart struct {
	size int
	of   *keptLayout
}

func flat(name string, version, size int) *keptLayout {
	return &keptLayout{name: name, version: version, parts: []keptPart{{size: size}}}
}

func nested(l *keptLayout) keptPart { return keptPart{of: l} }

// keptVAPIC is an option ROM's; every machine with local APICs has it.
const keptVAPIC = "kvm-tpr-opt"

// keptSections are the sections by their names and instances.
var keptSections = []struct {
	name     string
	instance int
	layout   *keptLayout
}{
	{keptVAPIC, 0, flat(keptVAPIC, 1, 144)}, {"vmmouse", 0, flat("vmmouse", 0, 4105)}, {"i2c_bus", 0, flat("i2c_bus", 1, 1)},
	{"acpi_build", 0, flat("acpi_build", 1, 1)},
}

// kept is the state of such a chip, empty unless it came in.
type kept struct {
	layout *keptLayout
	data   []byte
}

// Layout implements vmstate.State.
func (k *kept) Layout() *vmstate.Layout {
	return &vmstate.Layout{Name: k.layout.name, Version: k.layout.version}
}

// Save implements vmstate.State.
func (k *kept) Save(w *vmstate.Writer) { vmstate.SaveRaw(w, k.layout.name, k.layout.version, k.data) }

// Load implements vmstate.State.
func (k *kept) Load(r *vmstate.Reader, version int) error {
	if version != k.layout.version {
		return fmt.Errorf("%s: incoming version_id %d is not understood", k.layout.name, version)
	}
	var w vmstate.Writer
	if err := k.layout.copy(r, &w); err != nil {
		return err
	}
	k.data = w.Bytes()
	return nil
}

// copy reads a state and writes it as it is.
func (l *keptLayout) copy(r *vmstate.Reader, w *vmstate.Writer) error {
	for _, p := range l.parts {
		if p.of == nil {
			w.Raw(r.Raw(p.size))
		} else if err := p.of.copy(r, w); err != nil {
			return err
		}
		if r.Err() != nil {
			return fmt.Errorf("%s: %w", l.name, r.Err())
		}
	}
	for {
		name, ok := r.Subsection(l.name)
		if !ok {
			return r.Err()
		}
		s := l.sub(name)
		if s == nil {
			return fmt.Errorf("%s: unknown subsection %s", l.name, name)
		}
		version := r.U32()
		w.Subsection(name, version)
		if err := s.copy(r, w); err != nil {
			return err
		}
	}
}

func (l *keptLayout) sub(name string) *keptLayout {
	for _, s := range l.subs {
		if s.name == name {
			return s
		}
	}
	return nil
}

// keptSections lists the states to load, or those to send: what came in. have are the sections that the machine has of its own.
func (m *Machine) keptSections(have []qdev.Section, load bool) (out []qdev.Section) {
	if m.kept == nil {
		for _, k := range keptSections {
			m.kept = append(m.kept, &kept{layout: k.layout})
		}
	}
	own := map[string]bool{}
	for _, s := range have {
		own[s.Name] = true
	}
	for i, k := range keptSections {
		if m.pci == nil && k.name != keptVAPIC {
			continue
		}
		if !own[k.name] && (load || m.kept[i].data != nil) {
			out = append(out, qdev.Section{Name: k.name, Instance: k.instance, State: m.kept[i]})
		}
	}
	return out
}

// Dropped tells whether memory that comes in may be left out: firmware that the machine makes anew, or does without.
func (m *Machine) Dropped(name string) bool {
	return name == "pc.bios" || name == "pc.rom" || strings.HasPrefix(name, "/rom@")
}
