package usbtest

import (
	"testing"

	"goemu/hw/qdev"
	"goemu/hw/virtio/virtiotest"
	"goemu/ui"
	"goemu/ui/input"
)

// noScreen is a screen without a picture.
type noScreen struct{}

func (noScreen) Update()     {}
func (noScreen) Invalidate() {}

// TestDisplay gives input devices a screen: they get its events alone. One whose screen is not there gets everybody's.
func TestDisplay(t *testing.T) {
	m := newOurs(t, image(t), "piix3-usb-uhci,addr=5,id=u", "usb-storage,drive=d,bus=u.0,id=owner")
	var screen *ui.Console
	virtiotest.Locked(func() { screen = ui.Main.Add(m.Tree.Find("owner"), 0, noScreen{}) })
	defer virtiotest.Locked(func() { screen.Close() })
	for _, c := range []struct {
		name      string
		pairs     []string
		kind      input.Kind
		here, any bool
	}{
		{"usb-tablet", []string{"display", "owner"}, input.KindAbs, true, false},
		{"usb-tablet", []string{"display", "owner", "head", "2"}, input.KindAbs, true, true},
		{"usb-tablet", []string{"display", "nobody"}, input.KindAbs, true, true},
		{"usb-kbd", []string{"display", "owner"}, input.KindKey, true, false},
		{"usb-kbd", nil, input.KindKey, true, true},
	} {
		virtiotest.Locked(func() {
			d, err := m.Add(c.name, append([]string{"bus", "u.0"}, c.pairs...)...)
			if err != nil {
				t.Fatal(c.name, c.pairs, err)
			}
			if here, any := input.Main.Takes(c.kind, screen), input.Main.Takes(c.kind, nil); here != c.here || any != c.any {
				t.Errorf("%s %v: takes the screen's events: %v, other ones: %v", c.name, c.pairs, here, any)
			}
			qdev.Unrealize(d)
			if input.Main.Takes(c.kind, screen) {
				t.Errorf("%s %v is still there", c.name, c.pairs)
			}
		})
	}
}
