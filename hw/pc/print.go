package pc

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"goemu/hw/firmware/acpi"
	"goemu/internal/qom"
)

// PrintLAPIC shows the local APIC of a CPU that is there, for people.
func (m *Machine) PrintLAPIC(w io.Writer, cpu int) { m.unit(cpu).apic.Print(w, cpu) }

// PrintInterrupts shows the interrupt controllers that all CPUs share, for people.
func (m *Machine) PrintInterrupts(w io.Writer) {
	type printer interface{ Print(w io.Writer) }
	for _, p := range slices.Backward(objectsOf[printer](m)) {
		p.Print(w)
	}
}

// PrintInterruptCounts shows how often the inputs of these controllers were raised, for people.
func (m *Machine) PrintInterruptCounts(w io.Writer) {
	type counter interface{ PrintCounts(w io.Writer) }
	for _, c := range slices.Backward(objectsOf[counter](m)) {
		c.PrintCounts(w)
	}
}

// ROMDir is where firmware finds ROMs for it to execute, acpiDir where it finds tables.
const ROMDir, acpiDir = "genroms/", "etc/acpi/"

// PrintROMs shows the images that firmware is or finds, for people.
func (m *Machine) PrintROMs(w io.Writer) {
	if m.fw == nil {
		return
	}
	m.fw.Files(func(name string, data []byte) {
		if base, ok := strings.CutPrefix(name, ROMDir); ok {
			fmt.Fprintf(w, "fw=%s size=0x%06x name=%q\n", name, len(data), base)
		}
	})
	if n := len(m.cfg.BIOS); n != 0 && m.cfg.Props.Flash[0] == "" {
		kind := "rom"
		if m.pci == nil {
			kind = "ram"
		}
		fmt.Fprintf(w, "addr=%016x size=0x%06x mem=%s name=%q\n", fourGiB-n, n, kind, m.cfg.BIOSName)
	}
	m.fw.Files(func(name string, data []byte) {
		if strings.HasPrefix(name, acpiDir) || name == acpi.FileLoader {
			fmt.Fprintf(w, "/rom@%s size=0x%06x name=%q\n", name, len(data), name)
		}
	})
}

// objectsOf are the objects of the machine that can do something, in the order of the tree.
func objectsOf[T any](m *Machine) (list []T) {
	m.Tree.QOM.Walk(func(n *qom.Node) {
		if o, ok := n.Object().(T); ok {
			list = append(list, o)
		}
	})
	return list
}
