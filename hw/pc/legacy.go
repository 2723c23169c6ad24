package pc

import (
	"strconv"

	"goemu/accel"
	"goemu/hw/char"
	"goemu/hw/dma/i8257"
	"goemu/hw/firmware/loader"
	"goemu/hw/intc/apic"
	"goemu/hw/intc/i8259"
	"goemu/hw/intc/ioapic"
	"goemu/hw/isa"
	"goemu/hw/misc"
	"goemu/hw/qdev"
	"goemu/hw/timer/hpet"
	"goemu/hw/timer/i8254"
	"goemu/hw/timer/mc146818"
	"goemu/internal/chardev"
	"goemu/internal/qom"
)

// gsiCount is the number of global interrupts: the inputs of the I/O APIC.
const gsiCount = ioapic.Pins

// Interrupts that the HPET's timers may be routed to: on the PC and on the q35.
const (
	hpetRoutes    = 1 << 2
	hpetRoutesQ35 = 0xff0000 | 1<<8 | 1<<2
)

// interrupts makes the 8259 pair, unless it is left out, and the I/O APIC, and wires the ISA lines to both.
func (m *Machine) interrupts() (err error) {
	var ext apic.ExtIntController
	pins := make([]*qdev.IRQ, isa.Lines)
	if m.has(m.cfg.Props.PIC) {
		if m.pics, err = i8259.NewPair(m.Tree, m.isa, m.apics.ExtIntLine()); err != nil {
			return err
		}
		ext, pins = m.pics, m.pics.Lines()
		m.apics.SetExtInt(ext)
	}
	if m.ioapic, err = ioapic.New(m.Tree, m.chipsNode(), m.mem, ioapic.Address, m.apics, ext); err != nil {
		return err
	}
	copy(m.gsi, m.ioapic.Inputs())
	for i, line := range m.ioapic.Inputs()[:isa.Lines] {
		m.gsi[i] = qdev.Split(pins[i], line)
	}
	switch k, all := m.kernelChips(); {
	case all:
		m.offloadLines(k)
	case k != nil:
		k.OnEOI(m.apics.EndOfInterrupt)
	}
	return nil
}

// chipsNode is the object that the chipset's parts belong to.
func (m *Machine) chipsNode() *qom.Node {
	for _, name := range []string{"i440fx", "q35"} {
		if n := m.Tree.Machine.Child(name); n != nil {
			return n
		}
	}
	return m.Tree.Machine
}

// legacyTimers makes the HPET if wanted, the 8254 with the speaker port and the real-time clock. The HPET lies between the other two
// and their interrupts, which it can take over.
func (m *Machine) legacyTimers() (err error) {
	var pit *i8254.PIT
	pitLine, rtcLine := m.isa.Line(0), m.isa.Line(8)
	if m.cfg.Props.HPET && m.pci != nil {
		routes := uint32(hpetRoutes)
		if m.pci.Express() {
			routes = hpetRoutesQ35
		}
		h, err := hpet.New(m.Tree, hpet.Config{Memory: m.mem, DMA: m.memory, IRQs: m.gsi, IntCap: routes,
			PIT: qdev.NewIRQ(func(_ int, on bool) {
				if pit != nil {
					pit.Enable(on)
				}
			}, 0)})
		if err != nil {
			return err
		}
		pitLine, rtcLine = h.LegacyLines()
	}
	if m.has(m.cfg.Props.PIT) {
		if pit, err = i8254.New(m.Tree, m.isa, pitLine, m.kernelPIT()); err != nil {
			return err
		}
	}
	m.pit = pit
	if pit != nil { // the microvm gets the speaker port, too: its gate is what kernels calibrate with
		s, err := i8254.NewSpeaker(m.Tree, m.isa, pit, m.cfg.Props.SpeakerAudiodev)
		if err != nil {
			return err
		}
		if m.pci == nil {
			s.HideState()
		}
	}
	if !m.has(m.cfg.Props.RTC) {
		return nil
	}
	m.rtc, err = mc146818.New(m.Tree, m.isa, mc146818.Config{Start: m.cfg.RTC.Start, Clock: m.cfg.RTC.Clock, IRQ: rtcLine, Wakeup: m.VM.RequestWakeup,
		Set: func(seconds int64) { m.VM.TimeSet(m.rtc.Dev().QOM().Path(), seconds) }})
	if err == nil {
		m.rtc.SetPC(mc146818.PC{Below4G: m.map_.below, Above4G: m.map_.above, CPUs: m.cfg.CPUs, Boot: m.cfg.BootOrder.first(), NoCheck: m.cfg.BootOrder.NoCheck})
	}
	return err
}

// dma makes the DMA controllers.
func (m *Machine) dma() error { return i8257.NewPair(m.Tree, m.isa, m.memory) }

// serialPorts makes a 16550A for each character device given.
func (m *Machine) serialPorts() error { return m.charPorts(&char.SerialClass, m.cfg.Serials) }

// parallelPorts makes a parallel port for each character device given.
func (m *Machine) parallelPorts() error { return m.charPorts(&char.ParallelClass, m.cfg.Parallels) }

func (m *Machine) charPorts(class *qdev.Class, list []*chardev.Backend) error {
	for i, b := range list {
		if b == nil {
			continue
		}
		if _, err := m.Tree.Create(class, m.isa, qdev.Setting{Name: "index", Value: strconv.Itoa(i)}, qdev.Setting{Name: "chardev", Value: b.ID}); err != nil {
			return err
		}
	}
	return nil
}

// port92 makes system control port A, whose address line 20 goes to all CPUs.
func (m *Machine) port92() error {
	_, err := misc.NewPort92(m.Tree, m.isa, m.a20Line(), m.VM)
	return err
}

// What firmware leaves in the interrupt controllers: the 8259 pair is at the BIOS's vectors, PCI interrupts are level triggered, and the boot processor's local APIC is on,
// with the 8259 pair at its first input and non-maskable interrupts at the second.
const (
	portELCR           = 0x4d0
	apicSVR, svrOn     = 0xf0, 0x1ff
	apicLINT0, lintExt = 0x350, 0x8700
	apicLINT1, lintNMI = 0x360, 0x8400
)

// portWrite is a byte written to a port.
type portWrite struct {
	port  uint64
	value uint64
}

// picSetup initialises the 8259 pair at the BIOS's vectors, pitSetup lets the timer tick 18.2 times a second.
var (
	picSetup = []portWrite{
		{0x20, 0x11}, {0x21, 0x08}, {0x21, 0x04}, {0x21, 0x01},
		{0xa0, 0x11}, {0xa1, 0x70}, {0xa1, 0x02}, {0xa1, 0x01},
	}
	pitSetup = []portWrite{{0x43, 0x34}, {0x40, 0}, {0x40, 0}}

	// The firmware's masks; Linux has masked everything before its entry point, in real mode.
	picMaskBIOS  = []portWrite{{0x21, 0xb8}, {0xa1, 0x8e}}
	picMaskLinux = []portWrite{{0x21, 0xfb}, {0xa1, 0xff}}
)

func (m *Machine) writePorts(lists ...[]portWrite) {
	for _, list := range lists {
		for _, w := range list {
			m.ports.Store(w.port, 1, w.value)
		}
	}
}

// setupKeyboard leaves the keyboard controller as firmware does: the keyboard's interrupt and translation on, the mouse off.
func (m *Machine) setupKeyboard() {
	const portData, portCommand, writeMode, mode = 0x60, 0x64, 0x60, 0x61
	if m.cfg.Props.I8042 {
		m.ports.Store(portCommand, 1, writeMode)
		m.ports.Store(portData, 1, mode)
	}
}

// setupInterrupts does that. level are the ISA interrupts that are level triggered.
func (m *Machine) setupInterrupts(level uint32) {
	masks := picMaskBIOS
	if m.image.Kind == loader.KindLinux {
		masks = picMaskLinux
	}
	m.writePorts(picSetup, pitSetup, masks)
	m.ports.Store(portELCR, 1, uint64(level&0xff))
	m.ports.Store(portELCR+1, 1, uint64(level>>8))
	m.units[0].apic.WritePage(apicSVR, 4, svrOn)
	m.units[0].apic.WritePage(apicLINT0, 4, lintExt)
	m.units[0].apic.WritePage(apicLINT1, 4, lintNMI)
}

// raiseSMI is the chipset's system management interrupt: it goes to the first CPU.
func (m *Machine) raiseSMI(_ int, level bool) {
	if level {
		m.cpus[0].Raise(accel.IRQSMI)
	}
}
