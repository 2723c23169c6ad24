// Package chardevcmd has the commands about character devices and about file descriptors that clients hand over.
package chardevcmd

import (
	"context"
	"encoding/base64"
	"strconv"
	"strings"

	"goemu/internal/chardev"
	"goemu/qapi"
)

// Service carries the commands out.
type Service struct {
	Chardevs *chardev.Set
	// Cutters are what else can be cut off: block nodes, a migration.
	Cutters []Cutter
}

// QueryChardev implements qapi.CharCommands.
func (s *Service) QueryChardev(context.Context) ([]*qapi.ChardevInfo, error) {
	list := []*qapi.ChardevInfo{}
	for _, b := range s.Chardevs.All() {
		if b.Mux() {
			label, base := b.MuxLabels()
			list = append(list, &qapi.ChardevInfo{Label: label, Filename: "mux", FrontendOpen: b.InUse()},
				&qapi.ChardevInfo{Label: base, Filename: b.Name(), FrontendOpen: true})
			continue
		}
		list = append(list, &qapi.ChardevInfo{Label: b.ID, Filename: b.Name(), FrontendOpen: b.InUse()})
	}
	return list, nil
}

// QueryChardevBackends implements qapi.CharCommands.
func (s *Service) QueryChardevBackends(context.Context) (list []*qapi.ChardevBackendInfo, err error) {
	for _, k := range chardev.Kinds() {
		list = append(list, &qapi.ChardevBackendInfo{Name: k})
	}
	return list, nil
}

// ring finds a ring buffer.
func (s *Service) ring(name string) (*chardev.Backend, *chardev.Ring, error) {
	b, ok := s.Chardevs.Find(name)
	if !ok {
		return nil, nil, qapi.Errorf("Device '%s' not found", name)
	}
	r := b.Ring()
	if r == nil {
		return nil, nil, qapi.Errorf("%s is not a ringbuf device", name)
	}
	return b, r, nil
}

func isBase64(f *qapi.DataFormat) bool { return f != nil && *f == qapi.DataFormatBase64 }

// RingbufWrite implements qapi.CharCommands.
func (s *Service) RingbufWrite(_ context.Context, arg *qapi.RingbufWriteArg) error {
	_, r, err := s.ring(arg.Device)
	if err != nil {
		return err
	}
	data := []byte(arg.Data)
	if isBase64(arg.Format) {
		if data, err = base64.StdEncoding.DecodeString(strings.TrimSpace(arg.Data)); err != nil {
			return qapi.Errorf("Base64 data '%s' is not valid", arg.Data)
		}
	}
	r.Write(data)
	return nil
}

// RingbufRead implements qapi.CharCommands.
func (s *Service) RingbufRead(_ context.Context, arg *qapi.RingbufReadArg) (string, error) {
	_, r, err := s.ring(arg.Device)
	if err != nil {
		return "", err
	}
	if arg.Size <= 0 {
		return "", qapi.Errorf("size must be greater than zero")
	}
	const most = 1 << 30
	data := r.Read(int(min(arg.Size, most)))
	if isBase64(arg.Format) {
		return base64.StdEncoding.EncodeToString(data), nil
	}
	return string(data), nil
}

// ChardevAdd implements qapi.CharCommands.
func (s *Service) ChardevAdd(_ context.Context, arg *qapi.ChardevAddArg) (*qapi.ChardevReturn, error) {
	if _, ok := s.Chardevs.Find(arg.Id); ok {
		return nil, qapi.Errorf("Chardev with id '%s' already exists", arg.Id)
	}
	ret, err := s.add(arg.Id, arg.Backend)
	if err != nil {
		return nil, qapi.Errorf("Failed to add chardev '%s': %v", arg.Id, err)
	}
	return ret, nil
}

func (s *Service) add(id string, backend *qapi.ChardevBackend) (*qapi.ChardevReturn, error) {
	spec, err := specOf(id, backend)
	if err != nil {
		return nil, err
	}
	b, err := s.Chardevs.Open(spec)
	if err != nil {
		return nil, err
	}
	return returnOf(b), nil
}

func returnOf(b *chardev.Backend) *qapi.ChardevReturn {
	if name, ok := strings.CutPrefix(b.Name(), "pty:"); ok {
		return &qapi.ChardevReturn{Pty: &name}
	}
	return &qapi.ChardevReturn{}
}

// ChardevChange implements qapi.CharCommands.
func (s *Service) ChardevChange(_ context.Context, arg *qapi.ChardevChangeArg) (*qapi.ChardevReturn, error) {
	b, ok := s.Chardevs.Find(arg.Id)
	switch {
	case !ok:
		return nil, qapi.Errorf("Chardev '%s' does not exist", arg.Id)
	case b.Mux():
		return nil, qapi.Errorf("Mux device hotswap not supported yet")
	}
	spec, err := specOf(arg.Id, arg.Backend)
	if err != nil {
		return nil, err
	}
	if err := s.Chardevs.Change(b, spec); err != nil {
		return nil, err
	}
	return returnOf(b), nil
}

// ChardevRemove implements qapi.CharCommands.
func (s *Service) ChardevRemove(_ context.Context, arg *qapi.ChardevRemoveArg) error {
	return s.Chardevs.Remove(arg.Id)
}

// ChardevSendBreak implements qapi.CharCommands.
func (s *Service) ChardevSendBreak(_ context.Context, arg *qapi.ChardevSendBreakArg) error {
	b, ok := s.Chardevs.Find(arg.Id)
	if !ok {
		return qapi.Errorf("Chardev '%s' not found", arg.Id)
	}
	b.SendBreak()
	return nil
}

// options collects a backend's options under the names that -chardev has for them.
type options map[string]string

func (o options) text(name string, v *string) {
	if v != nil {
		o[name] = *v
	}
}

func (o options) flag(name string, v *bool) {
	if v != nil {
		o[name] = map[bool]string{true: "on", false: "off"}[*v]
	}
}

func (o options) number(name string, v *int64) {
	if v != nil {
		o[name] = strconv.FormatInt(*v, 10)
	}
}

func (o options) common(logfile *string, logappend *bool) {
	o.text("logfile", logfile)
	o.flag("logappend", logappend)
}

// specOf is a backend as -chardev describes it.
func specOf(id string, backend *qapi.ChardevBackend) (*chardev.Spec, error) {
	o := options{}
	switch {
	case backend.File != nil:
		f := backend.File.Data
		o["path"] = f.Out
		o.text("input-path", f.In)
		o.flag("append", f.Append)
		o.common(f.Logfile, f.Logappend)
	case backend.Serial != nil:
		o["path"] = backend.Serial.Data.Device
		o.common(backend.Serial.Data.Logfile, backend.Serial.Data.Logappend)
	case backend.Pipe != nil:
		o["path"] = backend.Pipe.Data.Device
		o.common(backend.Pipe.Data.Logfile, backend.Pipe.Data.Logappend)
	case backend.Socket != nil:
		if err := o.socket(backend.Socket.Data); err != nil {
			return nil, err
		}
	case backend.Udp != nil:
		u := backend.Udp.Data
		if err := o.datagrams(u); err != nil {
			return nil, err
		}
		o.common(u.Logfile, u.Logappend)
	case backend.Mux != nil:
		o["chardev"] = backend.Mux.Data.Chardev
	case backend.Stdio != nil:
		o.flag("signal", backend.Stdio.Data.Signal)
		o.common(backend.Stdio.Data.Logfile, backend.Stdio.Data.Logappend)
	case backend.Ringbuf != nil:
		o.number("size", backend.Ringbuf.Data.Size)
	case backend.Memory != nil:
		o.number("size", backend.Memory.Data.Size)
	case backend.Pty != nil:
		o.common(backend.Pty.Data.Logfile, backend.Pty.Data.Logappend)
	case backend.Null != nil:
		o.common(backend.Null.Data.Logfile, backend.Null.Data.Logappend)
	}
	return chardev.NewSpec(id, string(backend.Type), o), nil
}

func (o options) socket(c *qapi.ChardevSocket) error {
	server := c.Server == nil || *c.Server
	o.flag("server", &server)
	if server {
		wait := c.Wait != nil && *c.Wait
		o.flag("wait", &wait)
	} else {
		o.flag("wait", c.Wait)
	}
	o.flag("nodelay", c.Nodelay)
	o.flag("telnet", c.Telnet)
	o.flag("tn3270", c.Tn3270)
	o.flag("websocket", c.Websocket)
	o.text("tls-creds", c.TlsCreds)
	o.text("tls-authz", c.TlsAuthz)
	o.number("reconnect", c.Reconnect)
	o.common(c.Logfile, c.Logappend)
	return o.address(c.Addr)
}

// address adds the options of an address.
func (o options) address(a *qapi.SocketAddressLegacy) error {
	switch {
	case a.Inet != nil:
		i := a.Inet.Data
		o["host"], o["port"] = i.Host, i.Port
		o.flag("ipv4", i.Ipv4)
		o.flag("ipv6", i.Ipv6)
		if i.To != nil {
			o["to"] = strconv.Itoa(int(*i.To))
		}
	case a.Unix != nil:
		o["path"] = a.Unix.Data.Path
		o.flag("abstract", a.Unix.Data.Abstract)
		o.flag("tight", a.Unix.Data.Tight)
	case a.Fd != nil:
		o["fd"] = a.Fd.Data.Str
	default:
		return qapi.Errorf("address type '%s' is not supported", a.Type)
	}
	return nil
}

func (o options) datagrams(u *qapi.ChardevUdp) error {
	if u.Remote.Inet == nil || u.Local != nil && u.Local.Inet == nil {
		return qapi.Errorf("address type '%s' is not supported", u.Remote.Type)
	}
	o["host"], o["port"] = u.Remote.Inet.Data.Host, u.Remote.Inet.Data.Port
	if u.Local != nil {
		o["localaddr"], o["localport"] = u.Local.Inet.Data.Host, u.Local.Inet.Data.Port
	}
	return nil
}
