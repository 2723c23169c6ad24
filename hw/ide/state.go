package ide

import (
	"fmt"

	"goemu/migration/vmstate"
)

// BusState is the migrated state of a channel, without its drives.
var BusState = vmstate.Description[Bus]{Name: "ide_bus", Version: 1, MinVersion: 1,
	Fields: []vmstate.Field[Bus]{
		vmstate.Of("cmd", func(b *Bus) *uint8 { return &b.control }),
		vmstate.Of("unit", func(b *Bus) *uint8 { return &b.unit }),
	},
	PostLoad: func(b *Bus, _ int) error { b.unit &= 1; return nil },
	Subsections: []*vmstate.Description[Bus]{{Name: "ide_bus/error", Version: 2, MinVersion: 1,
		Needed: func(b *Bus) bool { return b.retry.status != 0 },
		Fields: []vmstate.Field[Bus]{
			vmstate.Of("error_status", func(b *Bus) *int32 { return &b.retry.status }),
			vmstate.Of("retry_sector_num", func(b *Bus) *int64 { return &b.retry.sector }).Since(2),
			vmstate.Of("retry_nsector", func(b *Bus) *uint32 { return &b.retry.count }).Since(2),
			vmstate.Of("retry_unit", func(b *Bus) *uint8 { return &b.retry.unit }).Since(2),
		}}}}

// saved are fields that exist only in the stream.
type savedDrive struct {
	offset, length int32
	end            uint8
}

// DriveState is the migrated state of a drive.
var DriveState = vmstate.Description[Drive]{Name: "ide_drive", Version: 3, MinVersion: 0,
	Fields: []vmstate.Field[Drive]{
		vmstate.Of("mult_sectors", func(d *Drive) *int32 { return &d.multiple }),
		vmstate.Of("identify_set", func(d *Drive) *int32 { return &d.identified }),
		vmstate.Buffer("identify_data", SectorSize, func(d *Drive) []byte { return d.identify[:] }).When(func(d *Drive) bool { return d.identified != 0 }),
		vmstate.Of("feature", func(d *Drive) *uint8 { return &d.regs.feature }),
		vmstate.Of("error", func(d *Drive) *uint8 { return &d.err }),
		vmstate.Of("nsector", func(d *Drive) *uint32 { return &d.regs.count }),
		vmstate.Of("sector", func(d *Drive) *uint8 { return &d.regs.sector }),
		vmstate.Of("lcyl", func(d *Drive) *uint8 { return &d.regs.cylLow }),
		vmstate.Of("hcyl", func(d *Drive) *uint8 { return &d.regs.cylHigh }),
		vmstate.Of("hob_feature", func(d *Drive) *uint8 { return &d.hob.feature }),
		vmstate.Of("hob_sector", func(d *Drive) *uint8 { return &d.hob.sector }),
		vmstate.Computed("hob_nsector", func(d *Drive) uint8 { return uint8(d.hob.count) }, func(d *Drive, v uint8) { d.hob.count = uint32(v) }),
		vmstate.Of("hob_lcyl", func(d *Drive) *uint8 { return &d.hob.cylLow }),
		vmstate.Of("hob_hcyl", func(d *Drive) *uint8 { return &d.hob.cylHigh }),
		vmstate.Of("select", func(d *Drive) *uint8 { return &d.sel }),
		vmstate.Of("status", func(d *Drive) *uint8 { return &d.status }),
		vmstate.Of("lba48", func(d *Drive) *uint8 { return &d.lba48 }),
		vmstate.Of("sense_key", func(d *Drive) *uint8 { return &d.senseKey }),
		vmstate.Of("asc", func(d *Drive) *uint8 { return &d.asc }),
		vmstate.Of("cdrom_changed", func(d *Drive) *uint8 { return &d.changed }).Since(3),
	},
	PostLoad: func(d *Drive, _ int) error {
		if d.there() && d.identified != 0 {
			d.backend.SetWriteCache(d.identify[2*85]&wordWriteCache != 0)
		}
		return nil
	},
	Subsections: []*vmstate.Description[Drive]{&pioState, &trayState, &eventState}}

// pioState is sent while the guest moves the buffer.
var pioState = vmstate.Description[Drive]{Name: "ide_drive/pio_state", Version: 1, MinVersion: 1,
	Needed: func(d *Drive) bool { return d.status&StatusDRQ != 0 || d.bus.retry.status&retryPIO != 0 },
	PreSave: func(d *Drive) {
		d.saved = savedDrive{int32(d.at), int32(d.limit - d.at), uint8(d.end)}
	},
	Fields: []vmstate.Field[Drive]{
		vmstate.Of("req_nb_sectors", func(d *Drive) *int32 { return &d.perStep }),
		vmstate.Array("io_buffer", func(d *Drive) []uint8 { return d.buf }).Since(1),
		vmstate.Of("cur_io_buffer_offset", func(d *Drive) *int32 { return &d.saved.offset }),
		vmstate.Of("cur_io_buffer_len", func(d *Drive) *int32 { return &d.saved.length }),
		vmstate.Of("end_transfer_fn_idx", func(d *Drive) *uint8 { return &d.saved.end }),
		vmstate.Of("elementary_transfer_size", func(d *Drive) *int32 { return &d.leftStep }),
		vmstate.Of("packet_transfer_size", func(d *Drive) *int32 { return &d.left }),
	},
	PostLoad: func(d *Drive, _ int) error {
		s := d.saved
		if d.left < 0 || d.leftStep < 0 || s.end > uint8(endDummy) || s.offset < 0 || s.length < 0 || int(s.offset) > len(d.buf) || int(s.length) > len(d.buf)-int(s.offset) {
			return fmt.Errorf("ide_drive/pio_state: transfer of %d bytes at %d, kind %d", s.length, s.offset, s.end)
		}
		d.at, d.limit, d.end = int(s.offset), int(s.offset+s.length), transferEnd(s.end)
		d.useDMA, d.lba, d.index = d.regs.feature&1 != 0, -1, d.limit
		if d.perStep < 1 || d.perStep > maxMultiple {
			d.perStep = 1
		}
		return nil
	}}

var trayState = vmstate.Description[Drive]{Name: "ide_drive/tray_state", Version: 1, MinVersion: 1,
	Needed: func(d *Drive) bool { return d.trayOpen || d.trayLocked },
	Fields: []vmstate.Field[Drive]{
		vmstate.Of("tray_open", func(d *Drive) *bool { return &d.trayOpen }),
		vmstate.Of("tray_locked", func(d *Drive) *bool { return &d.trayLocked }),
	}}

var eventState = vmstate.Description[Drive]{Name: "ide_drive/atapi/gesn_state", Version: 1, MinVersion: 1,
	Needed: func(d *Drive) bool { return d.newMedia || d.ejectRequest },
	Fields: []vmstate.Field[Drive]{
		vmstate.Of("events.new_media", func(d *Drive) *bool { return &d.newMedia }),
		vmstate.Of("events.eject_request", func(d *Drive) *bool { return &d.ejectRequest }),
	}}

// Retry tells what an error has left to be tried again; pending adds a DMA command that waits for its adapter.
func (b *Bus) Retry(pending bool) (kind int32, sector int64, count uint32, unit uint8) {
	if pending {
		b.retry.status = b.Active().dma.retry()
	}
	return b.retry.status, b.retry.sector, b.retry.count, b.retry.unit
}

// SetRetry restores what an older stream says about that.
func (b *Bus) SetRetry(kind int32, sector int64, count uint32, unit uint8) {
	b.retry.status |= kind
	if b.retry.status != 0 {
		b.retry.sector, b.retry.count, b.retry.unit = sector, count, unit
	}
}
