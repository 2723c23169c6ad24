package scsi

import (
	"errors"

	"goemu/migration/vmstate"
)

// oldSense is how much sense data old versions migrated, allSense is the most that there can be.
const oldSense, allSense = 96, 252

// State is the state of every device on the bus; device descriptions begin with it. Commands are over when it is saved.
var State = vmstate.Description[Device]{Name: "SCSIDevice", Version: 1, MinVersion: 1,
	Fields: []vmstate.Field[Device]{
		vmstate.Of("unit_attention.key", func(d *Device) *uint8 { return &d.attention.Key }),
		vmstate.Of("unit_attention.asc", func(d *Device) *uint8 { return &d.attention.ASC }),
		vmstate.Of("unit_attention.ascq", func(d *Device) *uint8 { return &d.attention.ASCQ }),
		vmstate.Of("sense_is_ua", func(d *Device) *bool { return &d.saved.attention }),
		vmstate.Array("sense", func(d *Device) []uint8 { return d.saved.sense[:oldSense] }),
		vmstate.Of("sense_len", func(d *Device) *uint32 { return &d.saved.length }),
		vmstate.Custom("requests", 0, saveRequests, loadRequests),
	},
	Subsections: []*vmstate.Description[Device]{{Name: "SCSIDevice/sense", Version: 1, MinVersion: 1, Needed: func(d *Device) bool { return d.saved.length > oldSense },
		Fields: []vmstate.Field[Device]{vmstate.Array("sense", func(d *Device) []uint8 { return d.saved.sense[oldSense:] })}}},
}

// savedSense are fields that exist only in the stream: sense data always goes with the command that failed.
type savedSense struct {
	attention bool
	sense     [allSense]uint8
	length    uint32
}

func saveRequests(_ *Device, w *vmstate.Writer) { w.U8(0) }

func loadRequests(_ *Device, r *vmstate.Reader) error {
	if r.U8() != 0 {
		return errors.New("SCSIDevice: the stream holds commands that wait to be tried again, which cannot be taken over")
	}
	return r.Err()
}
