package uicmd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"goemu/internal/fdset"
	"goemu/internal/monitor/hmp"
	"goemu/internal/sockaddr"
	"goemu/qapi"
	"goemu/ui/vnc"
)

// server finds a VNC server; without a name it is the first one.
func (s *Service) server(id *string) *vnc.Server {
	for _, v := range s.VNC {
		if id == nil || v.ID == *id {
			return v
		}
	}
	return nil
}

// QueryVnc implements qapi.UiCommands.
func (s *Service) QueryVnc(context.Context) (*qapi.VncInfo, error) {
	v := s.server(nil)
	if v == nil {
		return &qapi.VncInfo{}, nil
	}
	i := &qapi.VncInfo{}
	if list := v.Listening(); len(list) > 0 {
		auth := v.AuthName()
		i.Enabled, i.Clients = true, v.Clients()
		i.Host, i.Service, i.Family, i.Auth = &list[0].Host, &list[0].Service, &list[0].Family, &auth
	}
	return i, nil
}

// QueryVncServers implements qapi.UiCommands.
func (s *Service) QueryVncServers(context.Context) (list []*qapi.VncInfo2, err error) {
	list = []*qapi.VncInfo2{}
	for _, v := range s.VNC {
		list = append(list, v.Info())
	}
	return list, nil
}

// AddClient implements qapi.MiscCommands.
func (s *Service) AddClient(_ context.Context, arg *qapi.AddClientArg) error {
	fd, ok := fdset.Default.TakeNamed(arg.Fdname)
	if !ok {
		return fmt.Errorf("File descriptor named '%s' not found", arg.Fdname)
	}
	f := os.NewFile(uintptr(fd), arg.Fdname)
	defer f.Close()
	v := s.server(nil)
	switch {
	case arg.Protocol != "vnc":
		return fmt.Errorf("protocol '%s' is invalid", arg.Protocol)
	case v == nil:
		return errors.New("VNC server is not there")
	}
	conn, err := net.FileConn(f)
	if err != nil {
		return errors.New("parameter @fdname must name a socket")
	}
	v.AddClient(conn, arg.Skipauth != nil && *arg.Skipauth)
	return nil
}

var errPassword = errors.New("Could not set password")

func (s *Service) setPassword(id *string, password string) error {
	v := s.server(id)
	if v == nil {
		return errPassword
	}
	return v.SetPassword(password)
}

// ChangeVncPassword implements qapi.UiCommands.
func (s *Service) ChangeVncPassword(_ context.Context, arg *qapi.ChangeVncPasswordArg) error {
	return s.setPassword(nil, arg.Password)
}

// SetPassword implements qapi.UiCommands.
func (s *Service) SetPassword(_ context.Context, arg *qapi.SetPasswordOptions) error {
	return s.setPassword(arg.Vnc.Display, arg.Password)
}

// ExpirePassword implements qapi.UiCommands.
func (s *Service) ExpirePassword(_ context.Context, arg *qapi.ExpirePasswordOptions) error {
	return s.expire(arg.Vnc.Display, arg.Time)
}

func (s *Service) expire(id *string, when string) error {
	var t time.Time
	switch rest, relative := strings.CutPrefix(when, "+"); {
	case when == "now":
		t = time.Unix(0, 0)
	case when == "never":
	default:
		n, _ := strconv.ParseInt(rest, 10, 62) // what is no number is 0
		if t = time.Unix(n, 0); relative {
			t = time.Now().Add(time.Duration(min(n, maxSeconds)) * time.Second)
		}
	}
	v := s.server(id)
	if v == nil {
		return errors.New("Could not set password expire time")
	}
	v.SetExpiry(t)
	return nil
}

// maxSeconds keeps times from overflowing.
const maxSeconds = 1 << 32

var errNoDisplay = errors.New("Can not find vnc display")

// DisplayReload implements qapi.UiCommands.
func (s *Service) DisplayReload(_ context.Context, arg *qapi.DisplayReloadOptions) error {
	if certs := arg.Vnc.TlsCerts; certs == nil || !*certs {
		return nil
	}
	v := s.server(nil)
	if v == nil {
		return errNoDisplay
	}
	return v.ReloadCreds()
}

// DisplayUpdate implements qapi.UiCommands.
func (s *Service) DisplayUpdate(ctx context.Context, arg *qapi.DisplayUpdateOptions) error {
	v := s.server(nil)
	switch {
	case v == nil:
		return errNoDisplay
	case arg.Vnc.Addresses == nil:
		return nil
	}
	var list []*sockaddr.Addr
	for _, a := range arg.Vnc.Addresses {
		list = append(list, sockaddr.Of(a))
	}
	return v.Relisten(ctx, list)
}

func optional(a *hmp.Args, name string) *string {
	if v, ok := a.String(name); ok {
		return &v
	}
	return nil
}

// hmpInfoVNC is the command info vnc.
func (s *Service) hmpInfoVNC(m *hmp.Monitor, _ *hmp.Args) error {
	list, err := s.QueryVncServers(m.Context())
	if len(list) == 0 {
		m.Printf("None\n")
	}
	ws := map[bool]string{true: " (Websocket)"}
	show := func(kind, host, service string, f qapi.NetworkAddressFamily, websocket bool) {
		m.Printf("  %s: %s:%s (%s)%s\n", kind, host, service, f, ws[websocket])
	}
	auth := func(indent string, a qapi.VncPrimaryAuth, v *qapi.VncVencryptSubAuth) {
		sub := "none"
		if v != nil {
			sub = string(*v)
		}
		m.Printf("%s  Auth: %s (Sub: %s)\n", indent, a, sub)
	}
	for _, i := range list {
		m.Printf("%s:\n", i.Id)
		for _, l := range i.Server {
			show("Server", l.Host, l.Service, l.Family, l.Websocket)
			auth("  ", l.Auth, l.Vencrypt)
		}
		for _, c := range i.Clients {
			show("Client", c.Host, c.Service, c.Family, c.Websocket)
			m.Printf("    x509_dname: none\n    sasl_username: none\n")
		}
		if len(i.Server) == 0 {
			auth("", i.Auth, i.Vencrypt)
		}
		if i.Display != nil {
			m.Printf("  Display: %s\n", *i.Display)
		}
	}
	return err
}

// remoteCommands are the commands for people about remote displays, and those of info.
func (s *Service) remoteCommands() (commands, info []*hmp.Command) {
	protocol := func(a *hmp.Args) error {
		if v := a.Text("protocol"); v != "vnc" {
			return errors.New("invalid parameter value: " + v)
		}
		return nil
	}
	return []*hmp.Command{
			{Name: "set_password", Args: "protocol:s,password:s,display:-ds,connected:s?", Params: "protocol password [-d display] [action-if-connected]",
				Help: "set spice/vnc password", Run: func(_ *hmp.Monitor, a *hmp.Args) error {
					if err := protocol(a); err != nil {
						return err
					}
					if v := a.Text("connected"); v != "" && v != "keep" {
						return errors.New("parameter 'connected' must be 'keep' when 'protocol' is 'vnc'")
					}
					return s.setPassword(optional(a, "display"), a.Text("password"))
				}},
			{Name: "expire_password", Args: "protocol:s,time:s,display:-ds", Params: "protocol time [-d display]", Help: "set spice/vnc password expire-time",
				Run: func(_ *hmp.Monitor, a *hmp.Args) error {
					if err := protocol(a); err != nil {
						return err
					}
					return s.expire(optional(a, "display"), a.Text("time"))
				}},
		}, []*hmp.Command{
			{Name: "vnc", Help: "show the vnc server status", Run: s.hmpInfoVNC},
		}
}
