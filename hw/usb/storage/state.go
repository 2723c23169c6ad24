package storage

import (
	"errors"

	"goemu/hw/usb"
	"goemu/migration/vmstate"
)

var state = vmstate.Description[transport]{Name: "usb-storage", Version: 1, MinVersion: 1,
	Fields: []vmstate.Field[transport]{
		usb.Saved(func(t *transport) *usb.Device { return &t.Device }),
		vmstate.Of("mode", func(t *transport) *uint32 { return &t.mode }),
		vmstate.Of("scsi_len", func(t *transport) *uint32 { return &t.scsiLength }),
		vmstate.Of("scsi_off", func(t *transport) *uint32 { return &t.scsiOffset }),
		vmstate.Of("data_len", func(t *transport) *uint32 { return &t.left }),
		vmstate.Of("csw.sig", func(t *transport) *uint32 { return &t.signature }),
		vmstate.Of("csw.tag", func(t *transport) *uint32 { return &t.tag }),
		vmstate.Of("csw.residue", func(t *transport) *uint32 { return &t.residue }),
		vmstate.Of("csw.status", func(t *transport) *uint8 { return &t.failed }),
	},
	Subsections: []*vmstate.Description[transport]{&transferState},
	PostLoad: func(t *transport, _ int) error {
		if t.mode > modeStatus || t.left > maxData || t.scsiLength != 0 {
			return errors.New("usb-storage: the stream holds a command under way that cannot be taken over")
		}
		return nil
	},
}

// transferState is the data of a command in the middle of its transfer. QEMU, which has it in its SCSI layer, does not know this part, which
// is there only in that case.
var transferState = vmstate.Description[transport]{Name: "usb-storage/transfer", Version: 1, MinVersion: 1, Private: true,
	Needed: func(t *transport) bool { return t.mode == modeOut && t.cdb != nil || t.mode == modeIn || t.held != nil },
	Fields: []vmstate.Field[transport]{
		vmstate.Custom("transfer", 0, saveTransfer, loadTransfer),
	}}

func saveTransfer(t *transport, w *vmstate.Writer) {
	cdb, rest := t.cdb, t.buffer[t.at:]
	if t.held != nil { // is sent again as if it had just come
		cdb = t.held.CDB
	}
	again := uint8(0)
	if t.held != nil {
		again = 1
	}
	w.U8(again)
	w.U8(uint8(t.lun))
	w.U8(uint8(len(cdb)))
	w.Raw(cdb)
	w.U32(uint32(len(rest)))
	w.Raw(rest)
}

func loadTransfer(t *transport, r *vmstate.Reader) error {
	again := r.U8()
	t.lun = uint32(r.U8() & lunMask)
	n := r.U8()
	if n != 0 && n != cdbBytes {
		return errors.New("usb-storage: bad command")
	}
	t.cdb = nil
	if n != 0 {
		t.cdb = append([]byte(nil), r.Raw(int(n))...)
	}
	size := r.U32()
	if size > maxData {
		return vmstate.ErrLong
	}
	t.buffer, t.at = append([]byte(nil), r.Raw(int(size))...), 0
	if err := r.Err(); err != nil {
		return err
	}
	if again != 0 && n != 0 {
		t.held, t.cdb = t.again(), nil
	}
	return nil
}
