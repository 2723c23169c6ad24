package i8254

import (
	"goemu/hw/isa"
	"goemu/hw/qdev"
	"goemu/internal/audiodev"
	"goemu/migration/vmstate"
)

// Port and bits of the speaker control register.
const (
	spkGate, spkData = 0x01, 0x02
	spkRefresh       = 0x10
	spkOut           = 0x20
	spkChannel       = 2
)

// SpeakerProps are the options of the device type isa-pcspk.
type SpeakerProps struct {
	Audiodev *audiodev.Device `prop:"audiodev" help:"ID of an audiodev to use as a backend"`
	IOBase   uint32           `prop:"iobase,default=0x61"`
	Migrate  bool             `prop:"migrate,default=true" help:"on/off"`
}

// Speaker is the device type isa-pcspk; it makes no sound, but port 0x61 gates and shows the timer's third channel.
type Speaker struct {
	isa.Device
	SpeakerProps
	pit     *PIT
	dataOn  uint8
	refresh uint8
}

// SpeakerClass is the device type.
var SpeakerClass = qdev.Class{Name: "isa-pcspk", Bus: isa.BusType, Internal: true, Category: qdev.Sound,
	New: func() qdev.Device { return new(Speaker) },
	State: qdev.State(&vmstate.Description[Speaker]{Name: "pcspk", Version: 1, MinVersion: 1, Fields: []vmstate.Field[Speaker]{
		vmstate.Of("data_on", func(s *Speaker) *uint8 { return &s.dataOn }),
		vmstate.Of("dummy_refresh_clock", func(s *Speaker) *uint8 { return &s.refresh }),
	}})}

// NewSpeaker puts the speaker port of a timer on the bus.
// audiodev is the identifier of where its sound goes, "" for nowhere.
func NewSpeaker(tree *qdev.Tree, bus *isa.Bus, pit *PIT, audiodev string) (*Speaker, error) {
	d, err := tree.New(&SpeakerClass)
	if err != nil {
		return nil, err
	}
	s := d.(*Speaker)
	if audiodev != "" {
		if err := qdev.Set(s, &tree.Links, "audiodev", audiodev); err != nil {
			return nil, err
		}
	}
	s.pit = pit
	return s, qdev.Realize(s, bus)
}

// Realize implements qdev.Device.
func (s *Speaker) Realize() error {
	s.MapPorts("pcspk", uint16(s.IOBase), 1, s).Impl.Max = 1
	if !s.Migrate {
		s.HideState()
	}
	return nil
}

// Read implements memory.Ops.
func (s *Speaker) Read(uint64, int) uint64 {
	s.refresh ^= spkRefresh
	v := s.dataOn*spkData | s.refresh
	gate, out := s.pit.Output(spkChannel)
	if gate {
		v |= spkGate
	}
	if out {
		v |= spkOut
	}
	return uint64(v)
}

// Write implements memory.Ops.
func (s *Speaker) Write(_ uint64, _ int, value uint64) {
	s.dataOn = uint8(value) & spkData >> 1
	s.pit.SetGate(spkChannel, value&spkGate != 0)
}
