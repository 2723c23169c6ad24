package devicecmd

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"goemu/hw/virtio"
	"goemu/hw/virtio/ring"
	"goemu/internal/mainloop"
	"goemu/internal/monitor/hmp"
	"goemu/qapi"
)

// findQueue finds a device as findVirtio does, and one of its queues.
func (s *Service) findQueue(path, what string, n uint16) (*virtioDevice, *virtio.Queue, error) {
	d, err := s.findVirtio(path, what)
	if err != nil {
		return nil, nil, err
	}
	q := d.Queue(int(n))
	if q == nil {
		return nil, nil, fmt.Errorf("Invalid virtqueue number %d", n)
	}
	return d, q, nil
}

// XQueryVirtioQueueStatus implements qapi.VirtioCommands.
func (s *Service) XQueryVirtioQueueStatus(_ context.Context, arg *qapi.XQueryVirtioQueueStatusArg) (*qapi.VirtQueueStatus, error) {
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	d, q, err := s.findQueue(arg.Path, "VirtIODevice", arg.Queue)
	if err != nil {
		return nil, err
	}
	state := q.State()
	r := &qapi.VirtQueueStatus{
		Name: d.name, QueueIndex: arg.Queue, Inuse: uint32(state.InUse), VringNum: uint32(q.Num), VringNumDefault: uint32(q.MaxNum()),
		VringAlign: q.Align, VringDesc: state.Desc, VringAvail: state.Avail, VringUsed: state.Used,
		UsedIdx: state.Position.Used.Index, SignalledUsed: state.Signalled, SignalledUsedValid: state.SignalledValid,
	}
	if !state.Served {
		r.LastAvailIdx, r.ShadowAvailIdx = &state.Position.Avail.Index, &state.Seen
	}
	return r, nil
}

// XQueryVirtioQueueElement implements qapi.VirtioCommands.
func (s *Service) XQueryVirtioQueueElement(_ context.Context, arg *qapi.XQueryVirtioQueueElementArg) (*qapi.VirtioQueueElement, error) {
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	d, q, err := s.findQueue(arg.Path, "VirtIO device", arg.Queue)
	if err != nil {
		return nil, err
	}
	if d.Has(virtio.FeatureRingPacked) {
		return nil, fmt.Errorf("Packed ring not supported")
	}
	c, err := q.Look(arg.Index)
	if err != nil {
		return nil, err
	}
	r := &qapi.VirtioQueueElement{
		Name: d.name, Index: uint32(c.Head), Descs: []*qapi.VirtioRingDesc{},
		Avail: &qapi.VirtioRingAvail{Flags: c.AvailFlags, Idx: c.AvailAt, Ring: c.Head},
		Used:  &qapi.VirtioRingUsed{Flags: c.UsedFlags, Idx: c.UsedAt},
	}
	for _, desc := range slices.Backward(c.Descs) {
		r.Descs = append(r.Descs, &qapi.VirtioRingDesc{Addr: desc.Addr, Len: desc.Len, Flags: ring.DescFlags(desc.Flags)})
	}
	return r, nil
}

// hmpVirtioQueueStatus is the command info virtio-queue-status.
func (s *Service) hmpVirtioQueueStatus(m *hmp.Monitor, a *hmp.Args) error {
	path := a.Text("path")
	r, err := s.XQueryVirtioQueueStatus(m.Context(), &qapi.XQueryVirtioQueueStatusArg{Path: path, Queue: uint16(a.Int("queue"))})
	if err != nil {
		return err
	}
	m.Printf("%s:\n  device_name:          %s\n  queue_index:          %d\n  inuse:                %d\n", path, r.Name, r.QueueIndex, r.Inuse)
	m.Printf("  used_idx:             %d\n  signalled_used:       %d\n  signalled_used_valid: %v\n", r.UsedIdx, r.SignalledUsed, r.SignalledUsedValid)
	if r.LastAvailIdx != nil {
		m.Printf("  last_avail_idx:       %d\n", *r.LastAvailIdx)
	}
	if r.ShadowAvailIdx != nil {
		m.Printf("  shadow_avail_idx:     %d\n", *r.ShadowAvailIdx)
	}
	m.Printf("  VRing:\n    num:          %d\n    num_default:  %d\n    align:        %d\n", r.VringNum, r.VringNumDefault, int32(r.VringAlign))
	m.Printf("    desc:         0x%016x\n    avail:        0x%016x\n    used:         0x%016x\n", r.VringDesc, r.VringAvail, r.VringUsed)
	return nil
}

// hmpVirtioQueueElement is the command info virtio-queue-element.
func (s *Service) hmpVirtioQueueElement(m *hmp.Monitor, a *hmp.Args) error {
	arg := &qapi.XQueryVirtioQueueElementArg{Path: a.Text("path"), Queue: uint16(a.Int("queue"))}
	if at := a.Int("index"); a.Has("index") && at != -1 {
		index := uint16(at)
		arg.Index = &index
	}
	r, err := s.XQueryVirtioQueueElement(m.Context(), arg)
	if err != nil {
		return err
	}
	m.Printf("%s:\n  device_name: %s\n  index:   %d\n  desc:\n    descs:\n", arg.Path, r.Name, r.Index)
	for i, d := range r.Descs {
		if i > 0 {
			m.Printf(",\n")
		}
		m.Printf("        addr 0x%x len %d", d.Addr, int32(d.Len))
		if len(d.Flags) > 0 {
			m.Printf(" (%s)", strings.Join(d.Flags, ", "))
		}
	}
	m.Printf("\n  avail:\n    flags: %d\n    idx:   %d\n    ring:  %d\n", r.Avail.Flags, r.Avail.Idx, r.Avail.Ring)
	m.Printf("  used:\n    flags: %d\n    idx:   %d\n", r.Used.Flags, r.Used.Idx)
	return nil
}
