package pc

import (
	"bytes"
	"fmt"
	"strings"

	"goemu/hw/qdev"
	"goemu/migration/vmstate"
)

// QEMU's PC always has chips that this machine does not have, or that mean nothing to it. When a machine comes in from QEMU their state
// is kept as bytes, and it goes along when the machine moves on.

// keptLayout is the form of such a state: a number of bytes.
type keptLayout struct {
	name          string
	version, size int
}

// keptVAPIC is an option ROM's; every machine with local APICs has it.
const keptVAPIC = "kvm-tpr-opt"

// keptLayouts are the states, each of which there is once.
var keptLayouts = []keptLayout{{keptVAPIC, 1, 144}, {"i2c_bus", 1, 1}, {"acpi_build", 1, 1}}

// kept is the state of such a chip, empty unless it came in.
type kept struct {
	keptLayout
	data []byte
}

// Layout implements vmstate.State.
func (k *kept) Layout() *vmstate.Layout {
	return &vmstate.Layout{Name: k.name, Version: k.version}
}

// Save implements vmstate.State.
func (k *kept) Save(w *vmstate.Writer) { vmstate.SaveRaw(w, k.name, k.version, k.data) }

// Load implements vmstate.State.
func (k *kept) Load(r *vmstate.Reader, version int) error {
	if version != k.version {
		return fmt.Errorf("%s: incoming version_id %d is not understood", k.name, version)
	}
	k.data = bytes.Clone(r.Raw(k.size))
	return r.Err()
}

// keptSections lists the states to load, or those to send: what came in. have are the sections that the machine has of its own.
func (m *Machine) keptSections(have []qdev.Section, load bool) (out []qdev.Section) {
	if m.kept == nil {
		for _, l := range keptLayouts {
			m.kept = append(m.kept, &kept{keptLayout: l})
		}
	}
	own := map[string]bool{}
	for _, s := range have {
		own[s.Name] = true
	}
	for _, k := range m.kept {
		if m.pci == nil && k.name != keptVAPIC {
			continue
		}
		if !own[k.name] && (load || k.data != nil) {
			out = append(out, qdev.Section{Name: k.name, State: k})
		}
	}
	return out
}

// Dropped tells whether memory that comes in may be left out: firmware that the machine makes anew, or does without.
func (m *Machine) Dropped(name string) bool {
	return name == "pc.bios" || name == "pc.rom" || strings.HasPrefix(name, "/rom@")
}
