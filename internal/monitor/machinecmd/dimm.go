package machinecmd

import (
	"context"

	"goemu/internal/mainloop"
	"goemu/internal/monitor/hmp"
	"goemu/qapi"
)

// MemoryModule is a memory module as commands see it.
type MemoryModule struct {
	ID, Backend string // "" without identifier; the object that the memory comes from
	Addr, Size  uint64
	Slot, Node  int
	Hotplugged  bool
}

// QueryMemoryDevices implements qapi.MachineCommands.
func (s *Service) QueryMemoryDevices(context.Context) (list []*qapi.MemoryDeviceInfo, err error) {
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	for _, m := range s.Machine().Modules() {
		i := &qapi.PCDIMMDeviceInfo{Addr: int64(m.Addr), Size: int64(m.Size), Slot: int64(m.Slot), Node: int64(m.Node), Memdev: "/objects/" + m.Backend,
			Hotplugged: m.Hotplugged, Hotpluggable: true}
		if m.ID != "" {
			i.Id = &m.ID
		}
		list = append(list, &qapi.MemoryDeviceInfo{Type: qapi.MemoryDeviceInfoKindDimm, Dimm: &qapi.PCDIMMDeviceInfoWrapper{Data: i}})
	}
	return list, nil
}

// allNodes stands for every NUMA node.
const allNodes = -1

// plugged is the size of the memory modules of a node or of all nodes. Preconditions: the machine lock is held.
func (t *Target) plugged(node int) (sum uint64) {
	for _, m := range t.Modules() {
		if node == allNodes || m.Node == node {
			sum += m.Size
		}
	}
	return sum
}

func (s *Service) infoMemoryDevices(m *hmp.Monitor, _ *hmp.Args) error {
	list, err := s.QueryMemoryDevices(m.Context())
	for _, d := range list {
		i, id := d.Dimm.Data, ""
		if i.Id != nil {
			id = *i.Id
		}
		m.Printf("Memory device [%s]: \"%s\"\n  addr: 0x%x\n  slot: %d\n  node: %d\n  size: %d\n  memdev: %s\n  hotplugged: %v\n  hotpluggable: %v\n",
			d.Type, id, i.Addr, i.Slot, i.Node, i.Size, i.Memdev, i.Hotplugged, i.Hotpluggable)
	}
	return err
}
