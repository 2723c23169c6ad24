package qom

import (
	"errors"
	"slices"
	"testing"
)

func newTree() (root, machine, dev *Node) {
	root = Container()
	machine = root.MustAdd("machine", New("pc-machine", nil))
	per := machine.MustAdd("peripheral", Container())
	dev = per.MustAdd("d", New("virtio-rng-pci", "the device"))
	un := machine.MustAdd("unattached", Container())
	for range 3 {
		un.MustAdd("device[*]", New("x", nil))
	}
	return root, machine, dev
}

func TestPaths(t *testing.T) {
	root, machine, dev := newTree()
	for path, n := range map[string]*Node{"/": root, "/machine": machine, "/machine/peripheral/d": dev, "/machine/unattached/device[2]": machine.Child("unattached").Children()[2]} {
		if n.Path() != path {
			t.Errorf("path %s, want %s", n.Path(), path)
		}
		if got, err := root.Resolve(path); got != n || err != nil {
			t.Errorf("%s: %v %v", path, got, err)
		}
	}
	if got, err := root.Resolve("peripheral/d"); got != dev || err != nil {
		t.Error(got, err)
	}
	root.MustAdd("d", Container())
	if _, err := root.Resolve("d"); err == nil || err.Error() != "Path 'd' is ambiguous" {
		t.Error(err)
	}
	_, err := root.Resolve("/machine/nothing")
	if nf := (NotFound{}); !errors.As(err, &nf) || err.Error() != "Device '/machine/nothing' not found" {
		t.Error(err)
	}
}

// TestNumbers: numbers are not used again, as QEMU's are not.
func TestNumbers(t *testing.T) {
	_, machine, _ := newTree()
	un := machine.Child("unattached")
	un.Children()[2].Remove()
	n := New("y", nil)
	un.MustAdd("device[*]", n)
	if n.Name() != "device[3]" || len(un.Children()) != 3 {
		t.Error(n.Name(), len(un.Children()))
	}
	if err := un.Add("device[3]", New("z", nil)); err == nil || err.Error() != "attempt to add duplicate property 'device[3]' to object (type 'container')" {
		t.Error(err)
	}
}

func TestProperties(t *testing.T) {
	root, _, dev := newTree()
	v := int64(5)
	dev.AddProperty(Property{Name: "n", Type: "int", Get: func() any { return v }, Set: func(x any) error { v = x.(int64); return nil }})
	dev.AddProperty(Property{Name: "bus", Type: "link<bus>", Get: func() any { return "/machine/unattached" }})
	dev.AddProperty(Property{Name: "secret", Type: "str"})
	if err := dev.Set("n", int64(7)); err != nil || v != 7 {
		t.Error(err, v)
	}
	if got, err := dev.Get("n"); got != int64(7) || err != nil {
		t.Error(got, err)
	}
	for name, want := range map[string]string{"secret": "Property 'virtio-rng-pci.secret' is not readable", "none": "Property 'virtio-rng-pci.none' not found"} {
		if _, err := dev.Get(name); err == nil || err.Error() != want {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := dev.Set("type", "x"); err == nil {
		t.Error("the type was changed")
	}
	if got, err := root.Resolve("/machine/peripheral/d/bus/device[1]"); err != nil || got.Name() != "device[1]" {
		t.Error("a link was not followed: ", err)
	}
	var names []string
	for _, p := range root.Child("machine").Properties() {
		names = append(names, p.Name+" "+p.Type)
	}
	if !slices.Equal(names, []string{"type string", "peripheral child<container>", "unattached child<container>"}) {
		t.Error(names)
	}
}

func TestTypes(t *testing.T) {
	var y Types
	y.AddChain("virtio-rng-pci", "virtio-pci", "pci-device", "device", "object")
	y.AddChain("isa-serial", "isa-device", "device", "object")
	names := func(l []Type) (out []string) {
		for _, x := range l {
			out = append(out, x.Name)
		}
		return out
	}
	if got := names(y.List("device", false)); !slices.Equal(got, []string{"isa-serial", "virtio-rng-pci"}) {
		t.Error(got)
	}
	if got := names(y.List("pci-device", true)); !slices.Equal(got, []string{"pci-device", "virtio-pci", "virtio-rng-pci"}) {
		t.Error(got)
	}
	if y.Is("isa-serial", "pci-device") || !y.Is("isa-serial", "object") || y.Is("nothing", "object") {
		t.Error("descent")
	}
	y.Add(Type{Name: "a", Parent: "b"}, Type{Name: "b", Parent: "a"})
	if y.Is("a", "c") {
		t.Error("a ring")
	}
}
