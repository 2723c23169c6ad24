package filter

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"goemu/internal/chardev"
	"goemu/internal/mainloop"
	"goemu/internal/netdev"
	"goemu/internal/userobj"
	"goemu/qapi"
)

// FindChardev finds a character device; the emulator sets it.
var FindChardev = func(id string) (*chardev.Backend, bool) { return nil, false }

// Frames on character devices: be32 length, with vnet_hdr_support be32 length of a virtio header at the beginning of the frame, frame.
const (
	lengthSize = 4
	maxFrame   = netdev.MaxFrame
)

// attach takes a character device.
func attach(id string, fe chardev.Frontend) (*chardev.Port, error) {
	b, ok := FindChardev(id)
	if !ok {
		return nil, &qapi.Error{Class: qapi.QapiErrorClassDeviceNotFound, Desc: fmt.Sprintf("Device '%s' not found", id)}
	}
	return b.AttachOn(mainloop.Main, fe)
}

// deaf is a frontend that reads nothing.
type deaf struct{}

// CanRead implements chardev.Frontend.
func (deaf) CanRead() int { return 0 }

// Read implements chardev.Frontend.
func (deaf) Read([]byte) {}

// Event implements chardev.Frontend.
func (deaf) Event(chardev.Event) {}

// sender writes frames to a character device, each whole.
type sender struct {
	vnet bool
	mu   sync.Mutex
	port *chardev.Port // guarded by mu
}

func (s *sender) write(data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.port == nil {
		return
	}
	b := binary.BigEndian.AppendUint32(nil, uint32(len(data)))
	if s.vnet {
		b = binary.BigEndian.AppendUint32(b, 0) // frames are finished before they come to filters
	}
	s.port.WriteAll(append(b, data...))
}

func (s *sender) detach() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.port != nil {
		s.port.Detach()
		s.port = nil
	}
}

// mirror is the type filter-mirror.
type mirror struct {
	out string
	sender
}

func mirrorType() *userobj.Type {
	return newType("filter-mirror", func() kind { return new(mirror) },
		userobj.Field("outdev", "string", "", func(b *base) *string { return &b.kind.(*mirror).out }, needed("filter-mirror", "outdev")),
		userobj.Field("vnet_hdr_support", "bool", "", func(b *base) *bool { return &b.kind.(*mirror).vnet }, nil))
}

// needed refuses an empty name.
func needed(typ, name string) func(*base, string) error {
	return func(_ *base, v string) error {
		if v == "" {
			return fmt.Errorf("%s needs '%s' property set", typ, name)
		}
		return nil
	}
}

func (m *mirror) open(*base) (err error) {
	if m.out == "" {
		return errors.New("filter mirror needs 'outdev' property set")
	}
	m.port, err = attach(m.out, deaf{})
	return err
}

func (m *mirror) pass(_ *base, _ *netdev.Client, data []byte, _ bool) bool {
	m.write(data)
	return false
}

func (m *mirror) close(*base) { m.detach() }

func (m *mirror) details() string {
	return fmt.Sprintf(",outdev=%s,vnet_hdr_support=%v", m.out, m.vnet)
}

// redirector is the type filter-redirector.
type redirector struct {
	in, out string
	b       *base
	input   *chardev.Port
	buf     []byte // of a frame that is coming in; the main loop's
	sender
}

func redirectorType() *userobj.Type {
	return newType("filter-redirector", func() kind { return new(redirector) },
		userobj.Field("indev", "string", "", func(b *base) *string { return &b.kind.(*redirector).in }, nil),
		userobj.Field("outdev", "string", "", func(b *base) *string { return &b.kind.(*redirector).out }, nil),
		userobj.Field("vnet_hdr_support", "bool", "", func(b *base) *bool { return &b.kind.(*redirector).vnet }, nil))
}

func (r *redirector) open(b *base) (err error) {
	switch {
	case r.in == "" && r.out == "":
		return errors.New("filter redirector needs 'indev' or 'outdev' at least one property set")
	case r.in == r.out:
		return errors.New("'indev' and 'outdev' could not be same for filter redirector")
	}
	r.b = b
	if r.in != "" {
		if r.input, err = attach(r.in, r); err != nil {
			return err
		}
	}
	if r.out != "" {
		if r.port, err = attach(r.out, deaf{}); err != nil && r.input != nil {
			r.input.Detach()
		}
	}
	return err
}

func (r *redirector) pass(_ *base, _ *netdev.Client, data []byte, _ bool) bool {
	if r.out == "" {
		return false
	}
	r.write(data)
	return true
}

func (r *redirector) close(*base) {
	if r.input != nil {
		r.input.Detach()
	}
	r.detach()
}

// CanRead implements chardev.Frontend.
func (r *redirector) CanRead() int { return maxFrame }

// Event implements chardev.Frontend: a new connection begins with a new frame.
func (r *redirector) Event(e chardev.Event) {
	if e == chardev.Closed {
		r.buf = nil
	}
}

// Read implements chardev.Frontend.
func (r *redirector) Read(p []byte) {
	r.buf = append(r.buf, p...)
	for {
		head := lengthSize
		if r.vnet {
			head += lengthSize
		}
		if len(r.buf) < head {
			return
		}
		n := binary.BigEndian.Uint32(r.buf)
		skip := uint32(0)
		if r.vnet {
			skip = binary.BigEndian.Uint32(r.buf[lengthSize:])
		}
		if n > maxFrame || skip > n { // no frame: the other end speaks something else
			r.buf = nil
			r.input.Detach()
			return
		}
		if len(r.buf) < head+int(n) {
			return
		}
		r.give(r.buf[head+int(skip) : head+int(n)])
		r.buf = r.buf[head+int(n):]
	}
}

// give lets a frame go on behind the filter, in its directions.
func (r *redirector) give(data []byte) {
	f := &r.b.filter
	if !r.b.attached || r.b.status == "off" {
		return
	}
	if f.Dir != netdev.RX {
		f.PassOn(nil, data, true)
	}
	if f.Dir != netdev.TX {
		f.PassOn(nil, data, false)
	}
}

func (r *redirector) details() string {
	return fmt.Sprintf(",indev=%s,outdev=%s,vnet_hdr_support=%v", r.in, r.out, r.vnet)
}
