package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"goemu/hw/pci"
	"goemu/internal/cli"
	"goemu/internal/mainloop"
	"goemu/internal/monitor/uicmd"
	"goemu/internal/secret"
	"goemu/qapi"
	"goemu/ui"
	"goemu/ui/curses"
	"goemu/ui/input"
	"goemu/ui/keymap"
	"goemu/ui/textcon"
	"goemu/ui/vnc"
)

// vgaDevices are the device types of -vga's adapters.
var vgaDevices = map[string]string{"std": "VGA", "cirrus": "cirrus-vga", "virtio": "virtio-vga"}

// vgaHelp is the answer to -vga help.
func vgaHelp() string {
	var b strings.Builder
	for _, t := range cli.VGATypes {
		if t.Desc != "" {
			fmt.Fprintf(&b, "%-20s %s%s\n", t.Name, t.Desc, map[bool]string{true: " (default)"}[t.Name == "std"])
		}
	}
	return b.String()
}

// displayAdapters are the devices with which a machine does not get an adapter that nobody asked for.
var displayAdapters = map[string]bool{"VGA": true, "cirrus-vga": true, "virtio-vga": true}

// vgaName is the adapter that the machine gets.
func (s *session) vgaName() string {
	if s.vm.VGA != "" {
		return s.vm.VGA
	}
	if s.vm.NoDefaults || !s.typ.HasVGA {
		return "none"
	}
	for _, o := range s.vm.Devices {
		if name, _ := o.Get("driver"); displayAdapters[name] {
			return "none"
		}
	}
	return "std"
}

// prepareDisplay tells devices where firmware is found.
func (s *session) prepareDisplay() {
	pci.FindROM = func(name string) string { return findFirmware(name, dataDirs(s.vm)) }
	ui.FindROM = func() []byte {
		b, _ := os.ReadFile(findFirmware("vgabios-stdvga.bin", dataDirs(s.vm))) // without it text consoles have no font
		return b
	}
}

// uiService makes the service of the commands about screens.
func (s *session) uiService() *uicmd.Service {
	u := &uicmd.Service{Tree: s.mon.objects.device.Tree, Consoles: ui.Main, Input: input.Main, Display: qapi.DisplayOptions{Type: qapi.DisplayTypeNone}}
	if s.vm.Display == string(qapi.DisplayTypeCurses) {
		u.Display = qapi.DisplayOptions{Type: qapi.DisplayTypeCurses, Curses: new(qapi.DisplayCurses)}
		if s.vm.Charset != "" {
			u.Display.Curses.Charset = &s.vm.Charset
		}
	}
	return u
}

// layout is the keyboard's layout.
func (s *session) layout() (keymap.Layout, error) {
	if s.vm.Keyboard == "" {
		return keymap.US, nil
	}
	f, err := os.Open(findFirmware(s.vm.Keyboard, keymapDirs(s.vm)))
	if err != nil {
		return nil, fmt.Errorf("could not read keymap file: '%s'", s.vm.Keyboard)
	}
	defer f.Close()
	return keymap.Parse(f)
}

// XVP codes of clients with power control.
const (
	powerShutdown, powerReboot, powerReset = 2, 3, 4
)

// openVNC starts the VNC servers. Preconditions: the machine lock is held.
func (s *session) openVNC(ctx context.Context) error {
	for i, src := range s.vm.VNC {
		o, err := vnc.Parse(src.Value)
		if err != nil {
			return at(src.Origin, err)
		}
		if o.ID == "default" && i > 0 {
			o.ID = fmt.Sprint("vnc", i+1)
		}
		if err := s.openVNCServer(ctx, o); err != nil {
			return at(src.Origin, err)
		}
	}
	return nil
}

func (s *session) openVNCServer(ctx context.Context, o *vnc.Options) error {
	v := &vnc.Server{Options: *o, Name: s.vm.Name, Emit: func(e qapi.Event) { s.mon.server.Emit(e) }, Object: s.object, Input: input.Main, Power: s.vncPower}
	if o.Audiodev != "" && !slices.Contains(s.vm.Audiodevs, o.Audiodev) {
		return fmt.Errorf("Audiodev '%s' not found", o.Audiodev)
	}
	layout, err := s.layout()
	if err != nil {
		return err
	}
	v.Layout = layout
	c := ui.Main.Active()
	if o.Display != "" {
		d := s.machine.Tree.Find(o.Display)
		if d == nil {
			return fmt.Errorf("Device '%s' not found", o.Display)
		}
		if c = ui.Main.Find(d, o.Head); c == nil {
			return ui.NotBound(o.Display, o.Head)
		}
	}
	if c == nil {
		c = ui.Main.Blank()
	}
	if o.PasswordSecret != "" {
		p, err := secret.Find(s.object, o.PasswordSecret)
		if err != nil {
			return err
		}
		text, err := p.Text(o.PasswordSecret)
		if err != nil {
			return err
		}
		if err := v.SetPassword(text); err != nil {
			return err
		}
	}
	if err := v.Open(ctx, c); err != nil {
		return err
	}
	s.mon.ui.VNC = append(s.mon.ui.VNC, v)
	if o.To != 0 {
		if where := v.Where(); where != "" {
			fmt.Fprintf(os.Stderr, "VNC server running on %s\n", where)
		}
	}
	return nil
}

// vncPower carries out what a client with power control asks for.
func (s *session) vncPower(what byte) {
	switch what {
	case powerShutdown:
		s.machine.VM.RequestPowerdown()
	case powerReboot, powerReset:
		s.machine.VM.RequestReset(mainloop.CauseHostUI)
	}
}

// textConsole is what is connected to devices that nobody said anything about.
const textConsole = "vc:80Cx24C"

// onTerminal tells whether the screen is shown in the terminal.
func (s *session) onTerminal() bool { return s.vm.Display == "curses" }

// showsText tells whether text consoles are seen somewhere.
func (s *session) showsText() bool { return s.onTerminal() || len(s.vm.VNC) > 0 }

// screenMaker makes text consoles for character devices, nil where nobody would see them.
func (s *session) screenMaker() func(id string, columns, rows int) io.ReadWriteCloser {
	if !s.showsText() {
		return nil
	}
	return func(id string, columns, rows int) io.ReadWriteCloser {
		c := textcon.New(id, columns, rows)
		s.texts = append(s.texts, c)
		return c
	}
}

// showTexts adds the text consoles to the machine's screens. Preconditions: the machine lock is held.
func (s *session) showTexts() {
	for _, monitors := range []bool{true, false} { // these come first
		for _, c := range s.texts {
			if strings.HasPrefix(c.ID, "compat_monitor") == monitors {
				c.Show(ui.Main)
			}
		}
	}
}

// openCurses shows the screen in the terminal, if the command line says so. Preconditions: the machine lock is held.
func (s *session) openCurses(ctx context.Context) (err error) {
	if !s.onTerminal() {
		return nil
	}
	charset, err := curses.ParseCharset(s.vm.Charset)
	if err != nil {
		return err
	}
	layout, err := s.layout()
	if err != nil {
		return err
	}
	s.curses, err = curses.Open(ctx, ui.Main, input.Main, charset, layout)
	return err
}

// closeDisplays gives the terminal back and ends the VNC servers.
func (s *session) closeDisplays() {
	if s.curses != nil {
		s.curses.Close()
	}
	s.closeVNC()
}

// closeVNC ends the VNC servers.
func (s *session) closeVNC() {
	if s.mon.ui == nil {
		return
	}
	for _, v := range s.mon.ui.VNC {
		v.Close()
	}
}
