package qdev

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"goemu/internal/qom"
)

// hotBus is a bus on which devices come and go while the machine runs.
type hotBus struct {
	Bus
	events []string
	refuse bool
}

func (b *hotBus) HotplugHandler() HotplugHandler { return b }

func (b *hotBus) PrePlug(Device) error { return nil }

func (b *hotBus) Plugged(d Device) error {
	if b.refuse {
		return errors.New("no more")
	}
	b.events = append(b.events, "plugged "+d.Dev().QOM().Path())
	return nil
}

func (b *hotBus) RequestUnplug(d Device) error {
	b.events = append(b.events, "asked for "+d.Dev().ID())
	d.Dev().SetLeavingFor(5000)
	return nil
}

// hub provides a bus for hot-plugging.
type hub struct {
	Base
	bus hotBus
}

func (h *hub) Realize() error {
	InitBus(&h.bus, h, "hot", "hot.0", 0)
	return nil
}

func newHotTree(t *testing.T, log *[]string) (*Tree, *hotBus) {
	t.Helper()
	tree := NewTree(NewRegistry([]*Class{
		{Name: "hub", New: func() Device { return new(hub) }},
		{Name: "toy", Bus: "hot", Parents: []string{"toybase"}, New: func() Device { return &toy{log: log} }},
		{Name: "stuck", Bus: "hot", NoHotplug: true, New: func() Device { return &toy{log: log} }},
		{Name: "subtoy", Bus: "toybus", New: func() Device { return &toy{log: log} }},
	}))
	d, err := tree.Create(tree.Registry.Lookup("hub"), nil)
	if err != nil {
		t.Fatal(err)
	}
	return tree, &d.(*hub).bus
}

func pairs(list ...string) (out []Setting) {
	for i := 0; i < len(list); i += 2 {
		out = append(out, Setting{Name: list[i], Value: list[i+1]})
	}
	return out
}

func paths(t *Tree) (out []string) {
	t.QOM.Walk(func(n *qom.Node) { out = append(out, n.Path()+" "+n.Type()) })
	return out
}

func TestObjectTree(t *testing.T) {
	var log []string
	tree, _ := newHotTree(t, &log)
	for _, s := range [][]Setting{pairs("driver", "toy", "id", "t0", "index", "3"), pairs("driver", "toy"), pairs("driver", "subtoy", "bus", "toybus.t0")} {
		if _, err := tree.Add(s); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"/ container", "/objects container", "/machine machine", "/machine/peripheral container", "/machine/peripheral/t0 toy", "/machine/peripheral/t0/toybus.t0 toybus",
		"/machine/peripheral-anon container", "/machine/peripheral-anon/device[0] toy", "/machine/peripheral-anon/device[0]/toybus. toybus",
		"/machine/peripheral-anon/device[1] subtoy", "/machine/peripheral-anon/device[1]/toybus. toybus",
		"/machine/unattached container", "/machine/unattached/sysbus System", "/machine/unattached/device[0] hub", "/machine/unattached/device[0]/hot.0 hot"}
	if got := paths(tree); !slices.Equal(got, want) {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
	get := func(path, prop string, want any) {
		t.Helper()
		n, err := tree.QOM.Resolve(path)
		if err != nil {
			t.Fatal(err)
		}
		if v, err := n.Get(prop); v != want || err != nil {
			t.Errorf("%s.%s = %v (%T), %v, want %v", path, prop, v, v, err, want)
		}
	}
	get("t0", "index", uint64(3))
	get("t0", "wakeup", false)
	get("t0", "addr", int64(-1))
	get("t0", "disable-legacy", "auto")
	get("t0", "bytes", uint64(1024))
	get("t0", "realized", true)
	get("t0", "hotplugged", false)
	get("t0", "parent_bus", "/machine/unattached/device[0]/hot.0")
	get("hot.0", "child[1]", "/machine/peripheral-anon/device[0]")
	n, _ := tree.QOM.Resolve("t0")
	if err := n.Set("index", int64(4)); err == nil || err.Error() != "Attempt to set property 'index' on device 't0' (type 'toy') after it was realized" {
		t.Error(err)
	}
	tree.Close()
	if got := paths(tree); len(got) != 7 {
		t.Errorf("left: %q", got)
	}
}

func TestTypedSet(t *testing.T) {
	var log []string
	tree, _ := newHotTree(t, &log)
	d, err := tree.New(tree.Registry.Lookup("toy"))
	if err != nil {
		t.Fatal(err)
	}
	n := d.Dev().QOM()
	for _, c := range []struct {
		name string
		v    any
		err  string
	}{
		{"index", int64(7), ""}, {"wakeup", true, ""}, {"name", "x", ""}, {"bytes", "2k", ""},
		{"index", int64(1 << 40), "Parameter 'index' expects uint32_t"}, {"wakeup", int64(1), "Parameter 'wakeup' expects 'on' or 'off'"},
		{"index", []any{}, "Invalid parameter type for 'index', expected: string"},
	} {
		if err := n.Set(c.name, c.v); (err != nil) != (c.err != "") || err != nil && err.Error() != c.err {
			t.Errorf("%s=%v: %v", c.name, c.v, err)
		}
	}
	if v := fmt.Sprintf("%v %v %v %v", must(n.Get("index")), must(n.Get("wakeup")), must(n.Get("name")), must(n.Get("bytes"))); v != "7 true x 2048" {
		t.Error(v)
	}
}

func must(v any, err error) any {
	if err != nil {
		panic(err)
	}
	return v
}

func TestHotplug(t *testing.T) {
	var log, gone []string
	tree, bus := newHotTree(t, &log)
	tree.Hot = true
	tree.OnRemoved = func(id, path string) { gone = append(gone, id+" "+path) }
	d, err := tree.Add(pairs("driver", "toy", "id", "t0"))
	if err != nil {
		t.Fatal(err)
	}
	if v, _ := d.Dev().QOM().Get("hotplugged"); v != true {
		t.Error("not known as hotplugged")
	}
	for args, want := range map[string]string{"subtoy": "Bus 'toybus.t0' does not support hotplugging", "stuck": "Parameter 'driver' expects a pluggable device type"} {
		if _, err := tree.Add(pairs("driver", args)); err == nil || err.Error() != want {
			t.Errorf("%s: %v", args, err)
		}
	}
	bus.refuse = true
	if _, err := tree.Add(pairs("driver", "toy", "id", "t1")); err == nil || tree.Find("t1") != nil || tree.Peripheral.Child("t1") != nil {
		t.Error("a device that the bus refused is there: ", err)
	}
	for _, name := range []string{"t0", "/machine/peripheral/t0"} {
		if f, err := tree.FindDevice(name); f != d || err != nil {
			t.Error(name, f, err)
		}
	}
	if _, err := tree.FindDevice("t9"); err == nil || err.Error() != "Device 't9' not found" {
		t.Error(err)
	}
	if _, err := tree.FindDevice("/machine"); err == nil || err.Error() != "/machine is not a hotpluggable device" {
		t.Error(err)
	}
	if err := tree.RequestUnplug(d, "t0"); err != nil {
		t.Error(err)
	}
	if err := tree.RequestUnplug(d, "t0"); err == nil || err.Error() != "Device t0 is already in the process of unplug" {
		t.Error(err)
	}
	tree.Unplugged(d)
	if !slices.Equal(gone, []string{"t0 /machine/peripheral/t0"}) || tree.Find("t0") != nil || tree.Peripheral.Child("t0") != nil {
		t.Error(gone)
	}
	if !slices.Equal(bus.events, []string{"plugged /machine/peripheral/t0", "asked for t0"}) {
		t.Error(bus.events)
	}
}

func TestTypes(t *testing.T) {
	tree, _ := newHotTree(t, nil)
	y := tree.Registry.Types()
	if !y.Is("toy", "toybase") || !y.Is("toy", "device") || y.Is("hub", "toybase") || len(y.List("device", false)) != 4 {
		t.Error(y.List("", true))
	}
}
