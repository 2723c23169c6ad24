package chardevcmd

import (
	"errors"
	"fmt"
	"slices"

	"goemu/internal/chardev"
	"goemu/internal/monitor/hmp"
	"goemu/qapi"
)

// HMP returns the commands for people, and those of info.
func (s *Service) HMP() (commands, info []*hmp.Command) {
	ids := func(_ *hmp.Monitor, words []string) (list []string) {
		if len(words) != 2 {
			return nil
		}
		for _, b := range s.Chardevs.All() {
			list = append(list, b.ID)
		}
		return list
	}
	rings := func(m *hmp.Monitor, words []string) []string {
		return slices.DeleteFunc(ids(m, words), func(id string) bool {
			b, ok := s.Chardevs.Find(id)
			return !ok || b.Ring() == nil
		})
	}
	commands = []*hmp.Command{
		{Name: "chardev-add", Args: "args:s", Params: "args", Help: "add chardev", Run: s.hmpAdd, Complete: kinds},
		{Name: "chardev-change", Args: "id:s,args:s", Params: "id args", Help: "change chardev", Run: s.hmpChange, Complete: ids},
		{Name: "chardev-remove", Args: "id:s", Params: "id", Help: "remove chardev", Complete: ids,
			Run: func(m *hmp.Monitor, a *hmp.Args) error {
				return s.ChardevRemove(m.Context(), &qapi.ChardevRemoveArg{Id: a.Text("id")})
			}},
		{Name: "chardev-send-break", Args: "id:s", Params: "id", Help: "send a break on chardev", Complete: ids,
			Run: func(m *hmp.Monitor, a *hmp.Args) error {
				return s.ChardevSendBreak(m.Context(), &qapi.ChardevSendBreakArg{Id: a.Text("id")})
			}},
		{Name: "ringbuf_write", Args: "device:s,data:s", Params: "device data", Help: "Write to a ring buffer character device", Complete: rings,
			Run: func(m *hmp.Monitor, a *hmp.Args) error {
				return s.RingbufWrite(m.Context(), &qapi.RingbufWriteArg{Device: a.Text("device"), Data: a.Text("data")})
			}},
		{Name: "ringbuf_read", Args: "device:s,size:i", Params: "device size", Help: "Read from a ring buffer character device", Complete: rings, Run: s.hmpRead},
		{Name: "getfd", Args: "fdname:s", Params: "getfd name", Help: "receive a file descriptor via SCM rights and assign it a name", Preconfig: true,
			Run: func(m *hmp.Monitor, a *hmp.Args) error {
				return s.Getfd(m.Context(), &qapi.GetfdArg{Fdname: a.Text("fdname")})
			}},
		{Name: "closefd", Args: "fdname:s", Params: "closefd name", Help: "close a file descriptor previously passed via SCM rights", Preconfig: true,
			Run: func(m *hmp.Monitor, a *hmp.Args) error {
				return s.Closefd(m.Context(), &qapi.ClosefdArg{Fdname: a.Text("fdname")})
			}},
	}
	info = []*hmp.Command{{Name: "chardev", Help: "show the character devices", Preconfig: true, Run: s.hmpInfo}}
	return commands, info
}

func kinds(_ *hmp.Monitor, words []string) []string {
	if len(words) != 2 {
		return nil
	}
	return chardev.Kinds()
}

func (s *Service) hmpInfo(m *hmp.Monitor, _ *hmp.Args) error {
	list, err := s.QueryChardev(m.Context())
	for _, c := range list {
		m.Printf("%s: filename=%s\n", c.Label, c.Filename)
	}
	return err
}

func (s *Service) hmpAdd(m *hmp.Monitor, a *hmp.Args) error {
	spec, err := chardev.Parse(a.Text("args"))
	if err != nil {
		return err
	}
	if _, err := s.Chardevs.Open(spec); err != nil {
		return err
	}
	if spec.Notice != "" {
		m.Printf("%s\n", spec.Notice)
	}
	return nil
}

func (s *Service) hmpChange(m *hmp.Monitor, a *hmp.Args) error {
	id := a.Text("id")
	b, ok := s.Chardevs.Find(id)
	switch {
	case !ok:
		return fmt.Errorf("Chardev '%s' does not exist", id)
	case b.Mux():
		return errors.New("Mux device hotswap not supported yet")
	}
	spec, err := chardev.Parse("id=" + id + ",backend=" + a.Text("args"))
	if err != nil {
		return err
	}
	return s.Chardevs.Change(b, spec)
}

// hmpRead shows what is in a ring buffer; control characters are spelt out.
func (s *Service) hmpRead(m *hmp.Monitor, a *hmp.Args) error {
	data, err := s.RingbufRead(m.Context(), &qapi.RingbufReadArg{Device: a.Text("device"), Size: a.Int("size")})
	if err != nil {
		return err
	}
	for i := range len(data) {
		switch c := data[i]; {
		case c == '\\':
			m.Printf(`\\`)
		case c < 0x20 && c != '\n' && c != '\t' || c == 0x7f:
			m.Printf(`\u%04X`, c)
		default:
			_, _ = m.Write([]byte{c})
		}
	}
	m.Printf("\n")
	return nil
}
