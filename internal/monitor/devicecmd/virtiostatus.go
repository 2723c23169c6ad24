package devicecmd

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"goemu/hw/qdev"
	"goemu/hw/virtio"
	"goemu/internal/mainloop"
	"goemu/internal/monitor/hmp"
	"goemu/qapi"
)

// virtioDevice is what a path of the tree of objects leads to.
type virtioDevice struct {
	*virtio.Device
	name  string // as in VirtioInfo
	owner qdev.Device
	pci   bool // the device is behind a function of PCI
}

// findVirtio finds a virtio device; the error says that it is no such thing as what. Preconditions: the machine lock is held.
func (s *Service) findVirtio(path, what string) (*virtioDevice, error) {
	if t := s.Tree(); t != nil {
		for _, d := range t.Devices() {
			n, name := virtioNode(d)
			if n == nil || n.Path() != path {
				continue
			}
			if v, ok := d.(interface{ VirtioCommon() *virtio.Device }); ok && v.VirtioCommon() != nil {
				return &virtioDevice{v.VirtioCommon(), name, d, n != d.Dev().QOM()}, nil
			}
		}
	}
	return nil, fmt.Errorf("Path %s is not a %s", path, what)
}

// XQueryVirtioStatus implements qapi.VirtioCommands.
func (s *Service) XQueryVirtioStatus(_ context.Context, arg *qapi.XQueryVirtioStatusArg) (*qapi.VirtioStatus, error) {
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	d, err := s.findVirtio(arg.Path, "VirtIODevice")
	if err != nil {
		return nil, err
	}
	r := &qapi.VirtioStatus{
		Name: d.name, DeviceId: d.ID, VhostStarted: d.Served(), DeviceEndian: "little",
		GuestFeatures: d.features(d.GuestFeatures()), HostFeatures: d.features(d.HostFeatures()), BackendFeatures: d.features(0),
		NumVqs: int64(d.Queues()), Isr: d.ISR(), QueueSel: d.QueueSel, VmRunning: s.Running(), Broken: d.Broken(), Disabled: d.Disabled(),
		UseStarted: d.Options().UseStarted, Started: d.InUse(), StartOnKick: d.StartsOnKick(), DisableLegacyCheck: d.Options().NoLegacyCheck,
		BusName: d.busName(), UseGuestNotifierMask: true,
	}
	if d.ID == virtio.IDNet {
		r.BackendFeatures = d.features(d.ServerFeatures())
		r.UseGuestNotifierMask = !r.VhostStarted
	}
	left := uint64(d.Status())
	r.Status = &qapi.VirtioDeviceStatus{Statuses: takeBits(&left, statusBits)}
	if rest := uint8(left); rest != 0 {
		r.Status.UnknownStatuses = &rest
	}
	return r, nil
}

// busName is the name of the bus behind the device if it follows from the name of the device.
func (d *virtioDevice) busName() string {
	if id := d.owner.Dev().ID(); d.pci && id != "" && (d.ID == virtio.IDSCSI || d.ID == virtio.IDConsole) {
		return id + ".0"
	}
	return ""
}

func (d *virtioDevice) features(f uint64) *qapi.VirtioDeviceFeatures {
	r := &qapi.VirtioDeviceFeatures{Transports: takeBits(&f, transportBits), DevFeatures: takeBits(&f, deviceBits[d.ID])}
	if f != 0 {
		r.UnknownDevFeatures = &f
	}
	return r
}

// takeBits removes the bits of a list and returns their texts.
func takeBits(f *uint64, list []bitText) []string {
	texts := []string{}
	for _, b := range list {
		if *f>>b.bit&1 != 0 {
			*f &^= 1 << b.bit
			texts = append(texts, b.text)
		}
	}
	return texts
}

// hmpVirtioStatus is the command info virtio-status.
func (s *Service) hmpVirtioStatus(m *hmp.Monitor, a *hmp.Args) error {
	path := a.Text("path")
	r, err := s.XQueryVirtioStatus(m.Context(), &qapi.XQueryVirtioStatusArg{Path: path})
	if err != nil {
		return err
	}
	server, bus := "", r.BusName
	if r.VhostStarted {
		server = "(vhost)"
	}
	if bus == "" {
		bus = "(null)"
	}
	m.Printf("%s:\n", path)
	for _, l := range []struct {
		name  string
		value any
	}{
		{"device_name", r.Name + " " + server}, {"device_id", r.DeviceId}, {"vhost_started", r.VhostStarted}, {"bus_name", bus},
		{"broken", r.Broken}, {"disabled", r.Disabled}, {"disable_legacy_check", r.DisableLegacyCheck}, {"started", r.Started},
		{"use_started", r.UseStarted}, {"start_on_kick", r.StartOnKick}, {"use_guest_notifier_mask", r.UseGuestNotifierMask},
		{"vm_running", r.VmRunning}, {"num_vqs", r.NumVqs}, {"queue_sel", r.QueueSel}, {"isr", r.Isr}, {"endianness", r.DeviceEndian},
	} {
		m.Printf("  %-24s %v\n", l.name+":", l.value)
	}
	m.Printf("  status:\n%s\n", hmpBits(r.Status.Statuses))
	if u := r.Status.UnknownStatuses; u != nil {
		m.Printf("  unknown-statuses(0x%016x)\n", *u)
	}
	for i, f := range []*qapi.VirtioDeviceFeatures{r.GuestFeatures, r.HostFeatures, r.BackendFeatures} {
		m.Printf("  %s features:\n%s\n", []string{"Guest", "Host", "Backend"}[i], hmpBits(f.Transports))
		if len(f.DevFeatures) > 0 {
			m.Printf("%s\n", hmpBits(f.DevFeatures))
		}
		if u := f.UnknownDevFeatures; u != nil {
			m.Printf("  unknown-features(0x%016x)\n", *u)
		}
	}
	return nil
}

// hmpBits are texts of bits, one a line.
func hmpBits(list []string) string {
	list = slices.Clone(list)
	for i := range list {
		list[i] = "\t" + list[i]
	}
	return strings.Join(list, ",\n")
}
