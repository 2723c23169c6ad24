package pc

import (
	"io"
	"slices"

	"goemu/internal/qom"
)

// PrintLAPIC shows the local APIC of a CPU that is there, for people.
func (m *Machine) PrintLAPIC(w io.Writer, cpu int) { m.unit(cpu).apic.Print(w, cpu) }

// PrintInterrupts shows the interrupt controllers that all CPUs share, for people.
func (m *Machine) PrintInterrupts(w io.Writer) {
	type printer interface{ Print(w io.Writer) }
	var list []printer
	m.Tree.QOM.Walk(func(n *qom.Node) {
		if p, ok := n.Object().(printer); ok {
			list = append(list, p)
		}
	})
	for _, p := range slices.Backward(list) {
		p.Print(w)
	}
}
