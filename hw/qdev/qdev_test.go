package qdev

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

type backend struct{ id string }

func (b *backend) ID() string { return b.id }

type toyProps struct {
	Chardev *backend  `prop:"chardev" help:"ID of a chardev to use as a backend"`
	Index   uint32    `prop:"index,default=0xffffffff"`
	Wake    bool      `prop:"wakeup,default=false" help:"on/off"`
	Addr    DevFn     `prop:"addr,default=-1"`
	MAC     MACAddr   `prop:"mac"`
	Legacy  OnOffAuto `prop:"disable-legacy,default=auto" help:"on/off/auto"`
	Bytes   Size      `prop:"bytes,default=1k"`
	Name    string    `prop:"name"`
}

type toy struct {
	Base
	props toyProps `owner:"toy-inner"`
	log   *[]string
	fail  bool
	bus   Bus
}

func (d *toy) Realize() error {
	if d.fail {
		return errors.New("no")
	}
	InitBus(&d.bus, d, "toybus", "toybus."+d.ID(), 1)
	return nil
}

func (d *toy) Reset()     { *d.log = append(*d.log, "reset "+d.ID()) }
func (d *toy) Unrealize() { *d.log = append(*d.log, "gone "+d.ID()) }

func newTree(log *[]string) *Tree {
	t := NewTree(NewRegistry([]*Class{
		{Name: "toy", Alias: "plaything", Parents: []string{"toybase"}, New: func() Device { return &toy{log: log} }},
		{Name: "subtoy", Bus: "toybus", New: func() Device { return &toy{log: log} }},
		{Name: "bolt", Internal: true, New: func() Device { return &toy{log: log} }},
	}))
	Link(&t.Links, func(id string) (*backend, bool) { return &backend{id}, id == "c0" })
	return t
}

func TestAddErrors(t *testing.T) {
	tests := []struct{ args, want string }{
		{"id=x", "Parameter 'driver' is missing"},
		{"driver=foo", "'foo' is not a valid device model name"},
		{"driver=bolt", "Parameter 'driver' expects a pluggable device type"},
		{"driver=toy,foo=1", "Property 'toy.foo' not found"},
		{"driver=toy,index=q", "Parameter 'index' expects integer"},
		{"driver=toy,index=0x1ffffffff", "Parameter 'index' expects uint32_t"},
		{"driver=toy,index=-1", "Parameter 'index' expects uint32_t"},
		{"driver=toy,wakeup=3", "Parameter 'wakeup' expects 'on' or 'off'"},
		{"driver=toy,addr=99", "Property 'toy-inner.addr' doesn't take value '99'"},
		{"driver=toy,mac=9", "Property 'toy-inner.mac' doesn't take value '9'"},
		{"driver=toy,chardev=q", "Property 'toy-inner.chardev' can't find value 'q'"},
		{"driver=subtoy", "No 'toybus' bus found for device 'subtoy'"},
		{"driver=subtoy,bus=u", "Bus 'u' not found"},
		{"driver=subtoy,bus=main-system-bus", "Device 'subtoy' can't go on System bus"},
	}
	for _, tt := range tests {
		t.Run(tt.args, func(t *testing.T) {
			if _, err := newTree(new([]string)).Add(settings(tt.args)); err == nil || err.Error() != tt.want {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}

func settings(args string) (out []Setting) {
	for _, a := range strings.Split(args, ",") {
		n, v, _ := strings.Cut(a, "=")
		out = append(out, Setting{Name: n, Value: v})
	}
	return out
}

func TestTree(t *testing.T) {
	var log []string
	tree := newTree(&log)
	tree.Globals = []Global{{Driver: "toybase", Property: "index", Value: "7"}, {Driver: "toy", Property: "none", Optional: true}}
	d, err := tree.Add(settings("driver=plaything,id=a,chardev=c0,addr=1f.7,mac=52:54:00:12:34:56,bytes=1.5M,disable-legacy=off"))
	if err != nil {
		t.Fatal(err)
	}
	want := toyProps{&backend{"c0"}, 7, false, 0xff, MACAddr{0x52, 0x54, 0, 0x12, 0x34, 0x56}, Off, 3 << 19, ""}
	if got := d.(*toy).props; !reflect.DeepEqual(got, want) {
		t.Errorf("properties %+v", got)
	}
	if _, err := tree.Add(settings("driver=subtoy,id=b")); err != nil {
		t.Fatal(err)
	}
	if _, err := tree.Add(settings("driver=subtoy,id=a,bus=toybus.b")); err == nil || err.Error() != "Duplicate device ID 'a'" {
		t.Error(err)
	}
	if _, err := tree.Add(settings("driver=subtoy,bus=toybus.a")); err == nil || err.Error() != "Bus 'toybus.a' is full" {
		t.Error(err)
	}
	tree.Reset()
	tree.Close()
	if want := []string{"reset b", "reset a", "gone b", "gone a"}; !reflect.DeepEqual(log, want) {
		t.Errorf("order %v", log)
	}
}

func TestHelp(t *testing.T) {
	const want = `toy options:
  addr=<int32>           -  (default: -1)
  bytes=<size>           -  (default: 1024)
  chardev=<str>          - ID of a chardev to use as a backend
  disable-legacy=<OnOffAuto> - on/off/auto (default: "auto")
  index=<uint32>         -  (default: 4294967295)
  mac=<str>
  name=<str>
  wakeup=<bool>          - on/off (default: false)
`
	if got := Help(newTree(nil).Registry.Lookup("toy")); got != want {
		t.Errorf("got\n%s", got)
	}
}

func TestIRQ(t *testing.T) {
	var got []bool
	out := NewIRQ(func(_ int, l bool) { got = append(got, l) }, 0)
	or := Or(out, 2)
	or[0].Raise()
	or[1].Raise()
	or[0].Lower()
	or[1].Lower()
	Invert(Split(out, nil)).Pulse()
	if want := []bool{true, true, true, false, false, true}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v", got)
	}
}

// TestPlaces: a place on a PCI bus is a slot, in hexadecimal with or without the prefix, and maybe a function.
func TestPlaces(t *testing.T) {
	for text, want := range map[string]DevFn{"2": 2 << 3, "0x2": 2 << 3, "1f.7": 0xff, "0x1F.0x7": 0xff, "-1": -1, "02.0": 2 << 3} {
		d := New(&Class{Name: "toy", New: func() Device { return new(toy) }})
		if err := Set(d, nil, "addr", text); err != nil || d.(*toy).props.Addr != want {
			t.Errorf("%s: %v, %v; want %v", text, d.(*toy).props.Addr, err, want)
		}
	}
	for _, text := range []string{"", "20", "0x", "1.8", "1.", "x", "1.0.0"} {
		if Set(New(&Class{Name: "toy", New: func() Device { return new(toy) }}), nil, "addr", text) == nil {
			t.Errorf("%s is taken for a place", text)
		}
	}
}
