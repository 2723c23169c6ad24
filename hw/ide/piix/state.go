package piix

import (
	"goemu/hw/ide"
	"goemu/hw/pci"
	"goemu/migration/vmstate"
)

// oldBits are bits of the status that old versions used for something else; they go into a subsection of their own.
const oldBits = 0xf8

// savedMaster are fields that exist only in the stream.
type savedMaster struct {
	status uint8
	sector int64
	count  uint32
	unit   uint8
}

var masterState = vmstate.Description[busMaster]{Name: "ide bmdma", Version: 3, MinVersion: 0,
	PreSave: func(m *busMaster) {
		kind, sector, count, unit := m.bus.Retry(m.begin != nil && m.status&stsActive == 0)
		m.saved = savedMaster{m.status&^oldBits | uint8(kind)&oldBits, sector, count, unit}
	},
	Fields: []vmstate.Field[busMaster]{
		vmstate.Of("cmd", func(m *busMaster) *uint8 { return &m.cmd }),
		vmstate.Of("migration_compat_status", func(m *busMaster) *uint8 { return &m.saved.status }),
		vmstate.Of("addr", func(m *busMaster) *uint32 { return &m.table }),
		vmstate.Of("migration_retry_sector_num", func(m *busMaster) *int64 { return &m.saved.sector }),
		vmstate.Of("migration_retry_nsector", func(m *busMaster) *uint32 { return &m.saved.count }),
		vmstate.Of("migration_retry_unit", func(m *busMaster) *uint8 { return &m.saved.unit }),
	},
	Subsections: []*vmstate.Description[busMaster]{
		{Name: "ide bmdma_current", Version: 1, MinVersion: 1, Needed: func(m *busMaster) bool { return m.left != 0 },
			Fields: []vmstate.Field[busMaster]{
				vmstate.Of("cur_addr", func(m *busMaster) *uint32 { return &m.at }),
				vmstate.Of("cur_prd_last", func(m *busMaster) *uint32 { return &m.last }),
				vmstate.Of("cur_prd_addr", func(m *busMaster) *uint32 { return &m.addr }),
				vmstate.Of("cur_prd_len", func(m *busMaster) *uint32 { return &m.left }),
			}},
		{Name: "ide bmdma/status", Version: 1, MinVersion: 1, Needed: func(m *busMaster) bool { return m.status&oldBits != 0 },
			Fields: []vmstate.Field[busMaster]{vmstate.Of("status", func(m *busMaster) *uint8 { return &m.status })}},
	}}

// loaded takes over what came with the bus master, once the channel's state is there.
func (m *busMaster) loaded() {
	if m.status == 0 {
		m.status = m.saved.status &^ oldBits
		m.bus.SetRetry(int32(m.saved.status&oldBits), m.saved.sector, m.saved.count, m.saved.unit&1)
	}
}

func bus(i int) func(*IDE) *ide.Bus { return func(d *IDE) *ide.Bus { return d.Buses[i] } }

func drive(b, i int) func(*IDE) *ide.Drive {
	return func(d *IDE) *ide.Drive { return d.Buses[b].Drives[i] }
}

var ideState = vmstate.Description[IDE]{Name: "ide", Version: 3, MinVersion: 0,
	Fields: []vmstate.Field[IDE]{
		vmstate.Struct("parent_obj", &pci.State, func(d *IDE) *pci.Device { return &d.Device }),
		vmstate.Structs("bmdma", &masterState, func(d *IDE) []busMaster { return d.masters[:] }),
		vmstate.Struct("bus", &ide.BusState, bus(0)),
		vmstate.Struct("bus", &ide.BusState, bus(1)),
		vmstate.Struct("bus[0].ifs", &ide.DriveState, drive(0, 0)).Since(3),
		vmstate.Struct("bus[0].ifs", &ide.DriveState, drive(0, 1)).Since(3),
		vmstate.Struct("bus[1].ifs", &ide.DriveState, drive(1, 0)).Since(3),
		vmstate.Struct("bus[1].ifs", &ide.DriveState, drive(1, 1)).Since(3),
	},
	PostLoad: func(d *IDE, _ int) error {
		for i := range d.masters {
			d.masters[i].loaded()
		}
		return nil
	}}
