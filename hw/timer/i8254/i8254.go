// Package i8254 is the Intel 8254 programmable interval timer of a PC and the speaker port that gates its third channel.
package i8254

import (
	"math/bits"

	"goemu/accel"
	"goemu/hw/isa"
	"goemu/hw/qdev"
	"goemu/internal/clock"
	"goemu/internal/mainloop"
	"goemu/migration/vmstate"
)

// Frequency is the timer's input clock in Hz.
const Frequency = 1193182

// Ports, and bits of the control word (8254 data sheet).
const (
	portBase, numPorts = 0x40, 4
	numChannels        = 3
	regControl         = 3

	selectReadback   = 3
	readbackNoCount  = 0x20
	readbackNoStatus = 0x10
	maxCount         = 0x10000
	statusOutShift   = 7
	second           = 1_000_000_000
)

// States of the byte sequencer.
const (
	rwNone = iota
	rwLSB
	rwMSB
	rwWord0
	rwWord1
)

// channel is one counter; the field order is that of the migrated state.
type channel struct {
	count                       int32
	latchedCount                uint16
	countLatched, statusLatched uint8
	status                      uint8
	readState, writeState       uint8
	writeLatch                  uint8
	rwMode, mode, bcd, gate     uint8
	loadTime, next              int64
}

// PIT is the device types isa-pit and kvm-pit.
type PIT struct {
	isa.Device
	kernel      accel.KernelPIT // not nil: does the work while the machine runs
	offloaded   bool            // … and does it now
	channels    [numChannels]channel
	irqDisabled uint32 // the HPET has taken the line over
	irq         *qdev.IRQ
	timer       *clock.Timer
	savedNext   int64
	iobase      struct {
		Base uint32 `prop:"iobase,default=0xffffffff"`
	}
}

// Class is the device type.
var Class = qdev.Class{Name: "isa-pit", Parents: []string{"pit-common"}, Bus: isa.BusType, Internal: true, Category: qdev.Misc,
	New: func() qdev.Device { return new(PIT) }, State: qdev.State(&state)}

var channelState = vmstate.Description[channel]{Name: "pit channel", Version: 2, MinVersion: 2, Fields: []vmstate.Field[channel]{
	vmstate.Of("count", func(c *channel) *int32 { return &c.count }),
	vmstate.Of("latched_count", func(c *channel) *uint16 { return &c.latchedCount }),
	vmstate.Of("count_latched", func(c *channel) *uint8 { return &c.countLatched }),
	vmstate.Of("status_latched", func(c *channel) *uint8 { return &c.statusLatched }),
	vmstate.Of("status", func(c *channel) *uint8 { return &c.status }),
	vmstate.Of("read_state", func(c *channel) *uint8 { return &c.readState }),
	vmstate.Of("write_state", func(c *channel) *uint8 { return &c.writeState }),
	vmstate.Of("write_latch", func(c *channel) *uint8 { return &c.writeLatch }),
	vmstate.Of("rw_mode", func(c *channel) *uint8 { return &c.rwMode }),
	vmstate.Of("mode", func(c *channel) *uint8 { return &c.mode }),
	vmstate.Of("bcd", func(c *channel) *uint8 { return &c.bcd }),
	vmstate.Of("gate", func(c *channel) *uint8 { return &c.gate }),
	vmstate.Of("count_load_time", func(c *channel) *int64 { return &c.loadTime }),
	vmstate.Of("next_transition_time", func(c *channel) *int64 { return &c.next }),
}}

var state = vmstate.Description[PIT]{Name: "i8254", Version: 3, MinVersion: 2,
	PreSave: func(p *PIT) { p.savedNext = p.channels[0].next },
	Fields: []vmstate.Field[PIT]{
		vmstate.Of("channels[0].irq_disabled", func(p *PIT) *uint32 { return &p.irqDisabled }).Since(3),
		vmstate.Structs("channels", &channelState, func(p *PIT) []channel { return p.channels[:] }).Since(2),
		vmstate.Of("channels[0].next_transition_time", func(p *PIT) *int64 { return &p.savedNext }),
	},
	PostLoad: func(p *PIT, _ int) error {
		for i := range p.channels {
			p.channels[i].count = validCount(p.channels[i].count)
		}
		p.setNext(p.savedNext)
		return nil
	}}

// validCount is a count that a counter can have.
func validCount(n int32) int32 {
	if n <= 0 || n > maxCount {
		return maxCount
	}
	return n
}

// New puts a timer on the bus that drives irq, or whose work kernel does if that is not nil.
func New(tree *qdev.Tree, bus *isa.Bus, irq *qdev.IRQ, kernel accel.KernelPIT) (*PIT, error) {
	class := &Class
	if kernel != nil {
		class = &KernelClass
	}
	d, err := tree.New(class)
	if err != nil {
		return nil, err
	}
	p, ok := d.(*PIT)
	if !ok {
		p = &d.(*kernelPIT).PIT
	}
	p.kernel = kernel
	p.irq, p.iobase.Base = irq, portBase
	p.InitOutputs(&p.irq)
	return p, qdev.Realize(d, bus)
}

// Realize implements qdev.Device.
func (p *PIT) Realize() error {
	p.timer = mainloop.NewTimer(clock.Virtual, p.elapsed)
	p.powerOn(clock.Virtual.Now())
	p.MapPorts("pit", uint16(p.iobase.Base), numPorts, p).Impl.Max = 1
	return nil
}

// Unrealize implements qdev.Device.
func (p *PIT) Unrealize() { p.timer.Del(); p.UnmapPorts() }

// Reset implements qdev.Device.
func (p *PIT) Reset() {
	now := clock.Virtual.Now()
	p.powerOn(now)
	if p.irqDisabled == 0 {
		p.setNext(p.channels[0].transition(now))
	}
}

// setNext says when the first counter's output changes next, -1 for never.
func (p *PIT) setNext(at int64) {
	p.channels[0].next = at
	switch {
	case p.kernel != nil:
	case at == -1:
		p.timer.Del()
	default:
		p.timer.Mod(at)
	}
}

// powerOn puts the counters into the state QEMU's have after power-on.
func (p *PIT) powerOn(now int64) {
	for i := range p.channels {
		p.channels[i] = channel{mode: 3, count: maxCount, loadTime: now, gate: 1}
	}
	p.channels[2].gate = 0
}

// Enable connects or disconnects the interrupt, as the HPET's legacy replacement does.
func (p *PIT) Enable(on bool) { p.withState(true, func() { p.enable(on) }) }

func (p *PIT) enable(on bool) {
	if on {
		p.irqDisabled = 0
		p.update(clock.Virtual.Now())
		return
	}
	p.irqDisabled = 1
	p.setNext(-1)
	if p.kernel == nil {
		p.irq.Lower()
	}
}

// muldiv returns a*b/c without overflow in between.
func muldiv(a, b, c uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	if hi >= c {
		return ^uint64(0)
	}
	q, _ := bits.Div64(hi, lo, c)
	return q
}

// ticks returns the input clocks since the count was loaded.
func (c *channel) ticks(now int64) uint64 {
	return muldiv(uint64(max(now-c.loadTime, 0)), Frequency, second)
}

// value returns the counter.
func (c *channel) value(now int64) int32 {
	d, count := c.ticks(now), uint64(c.count)
	switch c.mode {
	case 0, 1, 4, 5:
		return int32(count-d) & 0xffff
	case 3:
		return int32(count - 2*d%count)
	}
	return int32(count - d%count)
}

// out returns the level of the output.
func (c *channel) out(now int64) bool {
	d, count := c.ticks(now), uint64(c.count)
	switch c.mode {
	case 1:
		return d < count
	case 2:
		return d%count == 0 && d != 0
	case 3:
		return d%count < (count+1)>>1
	case 4, 5:
		return d == count
	}
	return d >= count
}

// transition returns when the output changes next, -1 if never.
func (c *channel) transition(now int64) int64 {
	d, count := c.ticks(now), uint64(c.count)
	next := uint64(0)
	switch base := d / count * count; c.mode {
	case 2:
		// The times are rounded down to nanoseconds, so that one clock later in the first case is the pulse itself.
		next = base + count + 1
		if d == base && d != 0 {
			next = base + count
		}
	case 3:
		if half := (count + 1) >> 1; d-base < half {
			next = base + half
		} else {
			next = base + count
		}
	case 4, 5:
		switch {
		case d < count:
			next = count
		case d == count:
			next = count + 1
		default:
			return -1
		}
	default:
		if d >= count {
			return -1
		}
		next = count
	}
	if t := c.loadTime + int64(muldiv(next, second, Frequency)); t > now {
		return t
	}
	return now + 1
}

// maxBehind is how far the interrupt may be behind the time for each change of it to be made up for.
const maxBehind = second

// elapsed makes the change that is due. What lies far back, after a jump of the clock, is left out.
func (p *PIT) elapsed() {
	at := p.channels[0].next
	if now := clock.Virtual.Now(); at < now-maxBehind {
		at = now
	}
	p.update(at)
}

// update drives the interrupt for the time now and sets the timer for the next change.
func (p *PIT) update(now int64) {
	if p.irqDisabled != 0 {
		return
	}
	c := &p.channels[0]
	p.setNext(c.transition(now))
	if p.kernel == nil {
		p.irq.Set(c.out(now))
	}
}

func (p *PIT) load(n int, v int32) {
	if v == 0 {
		v = maxCount
	}
	c := &p.channels[n]
	c.loadTime, c.count = clock.Virtual.Now(), v
	if n == 0 {
		p.update(c.loadTime)
	}
}

// SetGate drives the gate input of a channel.
func (p *PIT) SetGate(n int, level bool) { p.withState(true, func() { p.setGate(n, level) }) }

func (p *PIT) setGate(n int, level bool) {
	c := &p.channels[n]
	v := uint8(0)
	if level {
		v = 1
	}
	switch c.mode {
	case 1, 2, 3, 5:
		if c.gate < v { // restarts on the rising edge
			c.loadTime = clock.Virtual.Now()
			if n == 0 {
				p.update(c.loadTime)
			}
		}
	}
	c.gate = v
}

// Output returns gate and output of a channel.
func (p *PIT) Output(n int) (gate, out bool) {
	p.withState(false, func() {
		c := &p.channels[n]
		gate, out = c.gate != 0, c.out(clock.Virtual.Now())
	})
	return gate, out
}

func (c *channel) latchCount() {
	if c.countLatched == 0 {
		c.latchedCount, c.countLatched = uint16(c.value(clock.Virtual.Now())), c.rwMode
	}
}

func (c *channel) latchStatus() {
	if c.statusLatched != 0 {
		return
	}
	c.status = c.rwMode<<4 | c.mode<<1 | c.bcd
	if c.out(clock.Virtual.Now()) {
		c.status |= 1 << statusOutShift
	}
	c.statusLatched = 1
}

// Write implements memory.Ops.
func (p *PIT) Write(offset uint64, _ int, value uint64) {
	v, n := uint8(value), int(offset&3)
	if n == regControl {
		p.control(v)
		return
	}
	switch c := &p.channels[n]; c.writeState {
	case rwMSB:
		p.load(n, int32(v)<<8)
	case rwWord0:
		c.writeLatch, c.writeState = v, rwWord1
	case rwWord1:
		p.load(n, int32(c.writeLatch)|int32(v)<<8)
		c.writeState = rwWord0
	default:
		p.load(n, int32(v))
	}
}

func (p *PIT) control(v uint8) {
	n := v >> 6
	if n == selectReadback {
		for i := range p.channels {
			if v>>(1+i)&1 == 0 {
				continue
			}
			if v&readbackNoCount == 0 {
				p.channels[i].latchCount()
			}
			if v&readbackNoStatus == 0 {
				p.channels[i].latchStatus()
			}
		}
		return
	}
	c := &p.channels[n]
	access := v >> 4 & 3
	if access == rwNone {
		c.latchCount()
		return
	}
	c.rwMode, c.readState, c.writeState = access, access, access
	c.mode, c.bcd = v>>1&7, v&1
}

// Read implements memory.Ops.
func (p *PIT) Read(offset uint64, _ int) uint64 {
	n := int(offset & 3)
	if n == regControl {
		return 0
	}
	c := &p.channels[n]
	switch {
	case c.statusLatched != 0:
		c.statusLatched = 0
		return uint64(c.status)
	case c.countLatched == rwWord0:
		c.countLatched = rwMSB
		return uint64(c.latchedCount & 0xff)
	case c.countLatched == rwMSB:
		c.countLatched = 0
		return uint64(c.latchedCount >> 8)
	case c.countLatched != 0:
		c.countLatched = 0
		return uint64(c.latchedCount & 0xff)
	}
	v := uint64(c.value(clock.Virtual.Now()))
	switch c.readState {
	case rwMSB:
		return v >> 8 & 0xff
	case rwWord0:
		c.readState = rwWord1
	case rwWord1:
		c.readState = rwWord0
		return v >> 8 & 0xff
	}
	return v & 0xff
}
