// Package uicmd has the commands about screens, remote displays and input.
package uicmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"goemu/hw/qdev"
	"goemu/internal/mainloop"
	"goemu/internal/monitor/hmp"
	"goemu/internal/strerror"
	"goemu/qapi"
	"goemu/ui"
	"goemu/ui/input"
	"goemu/ui/vnc"
)

// Service carries the commands out.
type Service struct {
	// Tree is the machine's devices, nil before it is made.
	Tree     func() *qdev.Tree
	Consoles *ui.Set
	Input    *input.Router
	VNC      []*vnc.Server
	Display  qapi.DisplayOptions

	buttons uint32 // of mouse_button
}

// find returns the console of a device's screen.
func (s *Service) find(device string, head int) (*ui.Console, error) {
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	d := s.Tree().Find(device)
	if d == nil {
		return nil, &qapi.Error{Class: qapi.QapiErrorClassDeviceNotFound, Desc: fmt.Sprintf("Device '%s' not found", device)}
	}
	if c := s.Consoles.Find(d, head); c != nil {
		return c, nil
	}
	return nil, ui.NotBound(device, head)
}

// Screendump implements qapi.UiCommands.
func (s *Service) Screendump(_ context.Context, arg *qapi.ScreendumpArg) error {
	var c *ui.Console
	switch {
	case arg.Device != nil:
		head := 0
		if arg.Head != nil {
			head = int(*arg.Head)
		}
		var err error
		if c, err = s.find(*arg.Device, head); err != nil {
			return err
		}
	case arg.Head != nil:
		return errors.New("'head' must be specified together with 'device'")
	default:
		if c = s.Consoles.At(0); c == nil {
			return errors.New("There is no console to take a screendump from")
		}
	}
	c.Refresh()
	mainloop.Lock.Lock()
	picture := c.Surface().Copy()
	mainloop.Lock.Unlock()
	f, err := os.OpenFile(arg.Filename, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o666)
	if err != nil {
		return fmt.Errorf("failed to open file '%s': %s", arg.Filename, strerror.Of(err))
	}
	write := func(w io.Writer) error { return picture.WritePPM(w) }
	if arg.Format != nil && *arg.Format == qapi.ImageFormatPng {
		write = picture.WritePNG
	}
	if err = errors.Join(write(f), f.Close()); err != nil {
		_ = os.Remove(arg.Filename)
		return reason(err)
	}
	return nil
}

// reason is an error without the path that the caller names.
func reason(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// hmpScreendump is the command screendump.
func (s *Service) hmpScreendump(m *hmp.Monitor, a *hmp.Args) error {
	arg := &qapi.ScreendumpArg{Filename: a.Text("filename")}
	if v, ok := a.String("device"); ok {
		arg.Device = &v
	}
	if a.Has("head") {
		n := a.Int("head")
		arg.Head = &n
	}
	if v, ok := a.String("format"); ok {
		f := qapi.ImageFormat(v)
		if !qapi.FindType("ImageFormat").Accepts(v) {
			return fmt.Errorf("invalid parameter value: %s", v)
		}
		arg.Format = &f
	}
	return s.Screendump(m.Context(), arg)
}

// HMP returns the commands for people, and those of info.
func (s *Service) HMP() (commands, info []*hmp.Command) {
	commands = []*hmp.Command{
		{Name: "screendump", Args: "filename:F,format:-fs,device:s?,head:i?", Params: "filename [-f format] [device [head]]", Run: s.hmpScreendump,
			Help: "save screen from head 'head' of display device 'device'in specified format 'format' as image 'filename'.Currently only 'png' and 'ppm' formats are supported."},
	}
	more, info := s.inputCommands()
	remote, state := s.remoteCommands()
	return append(append(commands, more...), remote...), append(info, state...)
}
