package char

import (
	"fmt"

	"goemu/hw/isa"
	"goemu/hw/qdev"
	"goemu/internal/chardev"
	"goemu/migration/vmstate"
)

// MaxISASerial is how many serial ports have standard addresses.
const MaxISASerial = 4

var (
	serialBases = [MaxISASerial]uint32{0x3f8, 0x2f8, 0x3e8, 0x2e8}
	serialIRQs  = [MaxISASerial]uint32{4, 3, 4, 3}
)

// unset is the default of properties that depend on others.
const unset = ^uint32(0)

// SerialProps are the options of -device isa-serial.
type SerialProps struct {
	Index    uint32           `prop:"index,default=4294967295"`
	IOBase   uint32           `prop:"iobase,default=4294967295"`
	IRQ      uint32           `prop:"irq,default=4294967295"`
	Chardev  *chardev.Backend `prop:"chardev" help:"ID of a chardev to use as a backend"`
	BaudBase uint32           `prop:"baudbase,default=115200"`
	Wakeup   bool             `prop:"wakeup,default=false"`
}

// Serial is the device type isa-serial.
type Serial struct {
	isa.Device
	SerialProps
	uart uart
}

// SerialClass is the type isa-serial.
var SerialClass = qdev.Class{Name: "isa-serial", Bus: isa.BusType, Category: qdev.Input,
	New: func() qdev.Device { return new(Serial) }, State: qdev.State(&serialState)}

var serialState = vmstate.Description[Serial]{Name: "serial", Version: 3, MinVersion: 2,
	Fields: []vmstate.Field[Serial]{vmstate.Struct("state", &uartState, func(s *Serial) *uart { return &s.uart })}}

// lowestFree is the first index that no other isa-serial on the bus has.
func (s *Serial) lowestFree() uint32 {
	used := map[uint32]bool{}
	for _, d := range s.Bus().Devices() {
		if o, ok := d.(*Serial); ok && o != s {
			used[o.Index] = true
		}
	}
	i := uint32(0)
	for used[i] {
		i++
	}
	return i
}

// Realize implements qdev.Device.
func (s *Serial) Realize() error {
	if s.Index == unset {
		s.Index = s.lowestFree()
	}
	if s.Index >= MaxISASerial {
		return fmt.Errorf("Max. supported number of ISA serial ports is %d.", MaxISASerial)
	}
	if s.IOBase == unset {
		s.IOBase = serialBases[s.Index]
	}
	if s.IRQ == unset {
		s.IRQ = serialIRQs[s.Index]
	}
	line, err := s.Bus().IRQ(s.IRQ)
	if err != nil {
		return err
	}
	s.uart.irq, s.uart.baudBase = line, s.BaudBase
	if err := s.uart.realize(s.Chardev); err != nil {
		return err
	}
	s.MapPorts("serial", uint16(s.IOBase), uartPorts, &s.uart).Impl.Max = 1
	return nil
}

// Unrealize implements qdev.Device.
func (s *Serial) Unrealize() {
	s.uart.unrealize()
	s.UnmapPorts()
}

// Reset implements qdev.Device.
func (s *Serial) Reset() { s.uart.reset() }
