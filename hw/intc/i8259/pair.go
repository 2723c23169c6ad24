package i8259

import (
	"slices"

	"goemu/hw/intc/irqcount"
	"goemu/hw/isa"
	"goemu/hw/qdev"
)

// Pair is the two controllers of a PC.
type Pair struct {
	master, slave *PIC
	level         bool
	count         irqcount.Counts
}

// NewPair puts both controllers on the bus; out is the line to the CPU.
func NewPair(tree *qdev.Tree, bus *isa.Bus, out *qdev.IRQ) (*Pair, error) {
	p := &Pair{}
	create := func(master bool, out *qdev.IRQ) (*PIC, error) {
		d, err := tree.New(&Class)
		if err != nil {
			return nil, err
		}
		pic := d.(*PIC)
		pic.master, pic.out, pic.count = master, out, &p.count
		pic.InitInputs(pic.set, pins)
		pic.InitOutputs(&pic.out)
		return pic, qdev.Realize(pic, bus)
	}
	var err error
	p.master, err = create(true, qdev.NewIRQ(func(_ int, level bool) { p.level = level; out.Set(level) }, 0))
	if err != nil {
		return nil, err
	}
	p.slave, err = create(false, p.master.Inputs()[cascade])
	return p, err
}

// Lines returns the sixteen inputs.
func (p *Pair) Lines() []*qdev.IRQ { return slices.Concat(p.master.Inputs(), p.slave.Inputs()) }

// Note records the level of an input whose work the kernel does.
func (p *Pair) Note(n int, level bool) { p.count.Note(n, level) }

// Level tells whether the pair asks for the CPU's attention.
func (p *Pair) Level() bool { return p.level }

// Ack is the CPU's interrupt acknowledge cycle; it returns the vector.
func (p *Pair) Ack() uint8 {
	pin := p.master.pending()
	switch {
	case pin < 0:
		return p.master.irqBase + spurious
	case pin != cascade:
		p.master.acknowledge(pin)
		return p.master.irqBase + uint8(pin)
	}
	sub := p.slave.pending()
	if sub >= 0 {
		p.slave.acknowledge(sub)
	} else {
		sub = spurious
	}
	p.master.acknowledge(pin)
	return p.slave.irqBase + uint8(sub)
}
