package usb

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"goemu/hw/qdev"
	"goemu/internal/qom"
)

// Port is where a device is plugged in. The host controller or hub that it belongs to hears of what happens there.
type Port struct {
	Speeds Mask
	Index  int
	// Attach and Detach hear of the device itself, ChildDetach of one behind it; Wakeup is a device that wakes the bus and may be nil.
	Attach, Detach func()
	ChildDetach    func(d *Device)
	Wakeup         func()

	bus  *Bus
	dev  *Device
	path string
	hubs int // between the host controller and the port
}

// Device returns the device in the port, nil if there is none.
func (p *Port) Device() *Device { return p.dev }

// Present tells whether there is a device that the host can see.
func (p *Port) Present() bool { return p.dev != nil && p.dev.attached }

// SetDevice gives a companion controller's port the device of the port that it stands for.
func (p *Port) SetDevice(d *Device) { p.dev = d }

// Bus is a USB bus.
type Bus struct {
	qdev.Bus
	Number int
	// WakeupEndpoint hears of endpoints that have something new, on a stream if not 0; AddCompanion takes the ports of a companion controller, which stand for
	// those of this bus from one on. Both may be nil.
	WakeupEndpoint func(e *Endpoint, stream uint16)
	AddCompanion   func(ports []*Port, first int) error

	free, used []*Port
}

// busCount numbers the buses. Guarded by the machine lock.
var busCount int

// InitBus makes b a bus that parent provides.
func InitBus(b *Bus, parent qdev.Device) {
	qdev.InitBus(b, parent, BusType, "", 0)
	b.Number = busCount
	busCount++
}

// AddPort gives the bus a port of its controller.
func (b *Bus) AddPort(p *Port) {
	p.bus, p.path = b, fmt.Sprint(p.Index+1)
	b.free = append(b.free, p)
}

// addHubPort gives the bus a port of a hub that is in another one.
func (b *Bus) addHubPort(p, up *Port) {
	p.bus, p.path, p.hubs = b, fmt.Sprintf("%s.%d", up.path, p.Index+1), up.hubs+1
	b.free = append(b.free, p)
}

// PortAt returns the port in use at a place, numbers of ports with dots between them; nil if there is none.
func (b *Bus) PortAt(path string) *Port {
	for _, p := range b.used {
		if p.path == path {
			return p
		}
	}
	return nil
}

// dropPort takes a hub's port away, with the device in it.
func (b *Bus) dropPort(p *Port) {
	if p.dev != nil {
		qdev.Unrealize(p.dev.model)
	}
	b.free = slices.DeleteFunc(b.free, func(x *Port) bool { return x == p })
}

// Companion puts the ports of a companion controller behind the bus called name.
func Companion(t *qdev.Tree, name string, ports []*Port, first int) error {
	var bus *Bus
	if b := t.FindBus(name); b != nil {
		bus, _ = b.Node().(*Bus)
	}
	if bus == nil {
		return fmt.Errorf("USB bus '%s' not found", name)
	}
	if bus.AddCompanion == nil {
		return fmt.Errorf("Can't use USB bus '%s' as masterbus, it doesn't support companion controllers", name)
	}
	for _, p := range ports {
		p.bus = bus
	}
	return bus.AddCompanion(ports, first)
}

// claim finds a port for a device.
func (b *Bus) claim(d *Device, product string) (*Port, error) {
	if d.Props.Port != "" {
		i := slices.IndexFunc(b.free, func(p *Port) bool { return p.path == d.Props.Port })
		if i < 0 {
			return nil, fmt.Errorf("usb port %s (bus %s) not found (in use?)", d.Props.Port, b.Name())
		}
		return b.free[i], nil
	}
	if _, hub := d.model.(*Hub); len(b.free) == 1 && !hub {
		if err := b.chainHub(d.Tree()); err != nil {
			return nil, err
		}
	}
	if len(b.free) == 0 {
		return nil, fmt.Errorf("tried to attach usb device %s to a bus with no free ports", product)
	}
	return b.free[0], nil
}

// chainHub puts a hub into the last free port.
func (b *Bus) chainHub(t *qdev.Tree) error {
	if t != nil {
		_, err := t.Create(HubClass, b)
		return err
	}
	return qdev.Realize(qdev.New(HubClass), b)
}

// RealizeChild implements qdev.BusRealizer.
func (b *Bus) RealizeChild(dev qdev.Device) error {
	m, ok := dev.(Model)
	if !ok {
		return errors.New("not a USB device")
	}
	d, info := m.USB(), m.Info()
	d.model = m
	d.resetEndpoints()
	p, err := b.claim(d, info.Product)
	if err != nil {
		return err
	}
	b.free = slices.DeleteFunc(b.free, func(x *Port) bool { return x == p })
	b.used = append(b.used, p)
	d.port, p.dev = p, d
	if info.Desc != nil {
		d.Describe(info.Desc)
	}
	if err := m.Realize(); err != nil {
		b.release(d)
		return err
	}
	if d.Capture != "" {
		if d.capture, err = startCapture(d.Capture); err != nil {
			m.Unrealize()
			b.release(d)
			return err
		}
	}
	d.showAttached()
	if d.manual && d.Hotplugged() {
		return nil
	}
	if err := d.Attach(); err != nil {
		b.UnrealizeChild(dev)
		return err
	}
	return nil
}

// UnrealizeChild implements qdev.BusRealizer.
func (b *Bus) UnrealizeChild(dev qdev.Device) {
	m := dev.(Model)
	d := m.USB()
	d.Unplug()
	m.Unrealize()
	d.capture.end()
	d.capture = nil
	b.release(d)
}

func (b *Bus) release(d *Device) {
	p := d.port
	d.port, p.dev = nil, nil
	b.used = slices.DeleteFunc(b.used, func(x *Port) bool { return x == p })
	b.free = append(b.free, p)
}

// showAttached makes the property that tells whether the host sees the device, and lets users change it where they attach it by hand.
func (d *Device) showAttached() {
	n := d.QOM()
	if n == nil {
		return
	}
	p := qom.Property{Name: "attached", Type: "bool", Get: func() any { return d.attached }}
	if d.manual {
		p.Set = d.setAttached
	}
	n.AddProperty(p)
}

func (d *Device) setAttached(v any) error {
	on, ok := v.(bool)
	switch {
	case !ok:
		return errors.New("Invalid parameter type for 'attached', expected: boolean")
	case on && !d.attached:
		return d.Attach()
	case !on:
		d.Unplug()
	}
	return nil
}

// Attach makes the host see the device.
func (d *Device) Attach() error {
	p := d.port
	if p.Speeds&d.speedMask == 0 {
		return fmt.Errorf("Warning: speed mismatch trying to attach usb device \"%s\" (%s speed) to bus \"%s\", port \"%s\" (%s speed)",
			d.model.Info().Product, d.speedMask, p.bus.Name(), p.path, p.Speeds)
	}
	d.attached = true
	p.attach()
	return nil
}

// Unplug makes the host see the device no longer.
func (d *Device) Unplug() {
	if d.attached {
		d.port.detach()
		d.attached = false
	}
}

func (p *Port) attach() {
	d := p.dev
	for _, s := range []Speed{Super, High, Full, Low} {
		if d.speedMask.Has(s) && p.Speeds.Has(s) {
			d.speed = s
			break
		}
	}
	p.Attach()
	d.state = stateAttached
	d.defaults()
}

func (p *Port) detach() {
	p.Detach()
	p.dev.cancelAll()
	p.dev.state = stateNotAttached
}

// Plug and Pull connect and disconnect the device in the port for the controller that takes it over or gives it away.
func (p *Port) Plug() { p.attach() }

// Pull is described with Plug.
func (p *Port) Pull() { p.detach() }

// Reset resets the device in the port as if it had been pulled and plugged.
func (p *Port) Reset() {
	p.detach()
	p.attach()
	p.dev.PortReset()
}

// cancelAll takes back what the device has not answered.
func (d *Device) cancelAll() {
	for _, e := range append([]*Endpoint{&d.control}, d.allEndpoints()...) {
		for len(e.queue) > 0 {
			e.queue[0].Cancel()
		}
	}
}

func (d *Device) allEndpoints() (out []*Endpoint) {
	for i := range endpoints {
		out = append(out, &d.in[i], &d.out[i])
	}
	return out
}

// DevicePath implements qdev.PathBus.
func (b *Bus) DevicePath(dev qdev.Device) string {
	path := ""
	if p := dev.(Model).USB().port; p != nil {
		path = p.path
	}
	if up := qdev.StatePath(b.Owner()); up != "" {
		return up + "/" + path
	}
	return path
}

// FirmwareName implements qdev.FirmwareBus: the hubs on the way and the device.
func (b *Bus) FirmwareName(dev qdev.Device) string {
	m := dev.(Model)
	name := m.Info().Name
	if name == "" {
		name = dev.Dev().Class().Name
	}
	s, steps := "", strings.Split(m.USB().port.path, ".")
	for i, n := range steps {
		var at int
		_, _ = fmt.Sscan(n, &at)
		if i < len(steps)-1 {
			s += fmt.Sprintf("hub@%x/", at)
		} else {
			s += fmt.Sprintf("%s@%x", name, at)
		}
	}
	return s
}

// HotplugHandler implements qdev.Hotplugger: the port tells the guest, and a device may go at any time.
func (b *Bus) HotplugHandler() qdev.HotplugHandler { return qdev.Direct{} }

// Text lists the buses' devices for people, "" if there is no bus.
func Text(t *qdev.Tree) (text string, any bool) {
	var buses []*Bus
	for _, d := range t.Devices() {
		for _, x := range d.Dev().Buses() {
			if b, ok := x.Node().(*Bus); ok {
				buses = append(buses, b)
			}
		}
	}
	slices.SortFunc(buses, func(a, b *Bus) int { return a.Number - b.Number })
	for _, b := range buses {
		for _, p := range b.used {
			if p.dev == nil {
				continue
			}
			text += fmt.Sprintf("  Device %d.%d, Port %s, Speed %s Mb/s, Product %s", b.Number, p.dev.addr, p.path, speedNames[p.dev.speed], p.dev.model.Info().Product)
			if id := p.dev.ID(); id != "" {
				text += ", ID: " + id
			}
			text += "\n"
		}
	}
	return text, len(buses) > 0
}
