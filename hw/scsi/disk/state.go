package disk

import (
	"goemu/hw/scsi"
	"goemu/migration/vmstate"
)

type vmState = vmstate.State

var driveState = vmstate.Description[Drive]{Name: "scsi-disk", Version: 1, MinVersion: 1,
	Fields: []vmstate.Field[Drive]{
		vmstate.Struct("qdev", &scsi.State, func(d *Drive) *scsi.Device { return &d.Device }),
		vmstate.Of("media_changed", func(d *Drive) *bool { return &d.mediaChanged }),
		vmstate.Of("media_event", func(d *Drive) *bool { return &d.mediaEvent }),
		vmstate.Of("eject_request", func(d *Drive) *bool { return &d.ejectRequest }),
		vmstate.Of("tray_open", func(d *Drive) *bool { return &d.trayOpen }),
		vmstate.Of("tray_locked", func(d *Drive) *bool { return &d.trayLocked }),
	}}
