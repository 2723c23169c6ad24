package i8259

import (
	"fmt"
	"io"
)

// PrintCounts shows how often the inputs of the pair were raised, for people; they are the master's.
func (p *PIC) PrintCounts(w io.Writer) {
	if p.master {
		p.count.Print(w, Class.Name)
	}
}

// Print shows the state, for people.
func (p *PIC) Print(w io.Writer) {
	n := 1
	if p.master {
		n = 0
	}
	fmt.Fprintf(w, "pic%d: irr=%02x imr=%02x isr=%02x hprio=%d irq_base=%02x rr_sel=%d elcr=%02x fnm=%d\n", n, p.irr, p.imr, p.isr, p.priorityAdd, p.irqBase, p.readISR, p.elcr, p.nested)
}
