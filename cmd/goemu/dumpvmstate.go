package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"slices"

	"goemu/block"
	"goemu/hw/misc"
	"goemu/hw/pc"
	"goemu/hw/qdev"
	"goemu/internal/config"
	"goemu/migration/vmstate"
)

// dumpedState is a device type's entry in the file of -dump-vmstate.
type dumpedState struct {
	Name        string
	Version     int `json:"version_id"`
	MinVersion  int `json:"minimum_version_id"`
	Description *vmstate.Layout
}

// dumpVMState writes the layouts of all device types' states to a file, as QEMU's -dump-vmstate does: members in the order of QEMU's, and
// no size for nested structures, which is that of C structures there.
func dumpVMState(vm *config.VM) error {
	name, _ := vm.Machine.Get("type")
	typ := pc.Find(name)
	if typ == nil {
		return errNoMachine
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "{\n  \"vmschkmachine\": {\n    \"Name\": %q\n  }", typ.Name)
	for _, s := range dumpedStates() {
		text, err := json.MarshalIndent(s, "  ", "  ")
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, ",\n  %q: %s", s.Name, text)
	}
	b.WriteString("\n}\n")
	if err := os.WriteFile(vm.DumpVMState, b.Bytes(), 0o666); err != nil {
		return fmt.Errorf("open %s: %s", vm.DumpVMState, block.Strerror(block.Errno(err)))
	}
	return nil
}

// statesApart are types whose states stand in a stream without belonging to their classes in QEMU, which therefore does not dump them.
var statesApart = []string{"apic", "piix3-ide", "piix4-ide"}

// dumpedStates lists the device types with state, those on a transport under the name of what is behind it, and those that cannot be migrated.
func dumpedStates() (list []dumpedState) {
	r := registry(new(misc.Hooks))
	var classes []*qdev.Class
	for _, n := range r.Names() {
		classes = append(classes, r.Lookup(n))
	}
	seen := map[string]bool{}
	for _, c := range classes {
		l := &vmstate.Layout{Name: cmp.Or(c.StateName, c.Name)}
		part, composite := qdev.New(c).(qdev.Composite)
		switch {
		case composite && !seen[c.Name]:
			l = part.PartState().Layout()
		case seen[c.Name] || slices.Contains(c.Parents, "virtio-pci") || slices.Contains(statesApart, c.Name):
			continue
		case c.State != nil:
			l = c.State(qdev.New(c)).Layout()
		case !c.Unmigratable:
			continue
		}
		seen[c.Name] = true
		list = append(list, dumpedState{c.Name, l.Version, l.MinVersion, l})
	}
	return list
}
