package blockcmd

import (
	"context"
	"strconv"

	"goemu/block"
	"goemu/qapi"

	"golang.org/x/sys/unix"
)

// NbdServerStart implements qapi.BlockExportCommands.
func (s *Service) NbdServerStart(ctx context.Context, a *qapi.NbdServerStartArg) error {
	o := block.NewOptions()
	addr := flatAddress(a.Addr)
	for k, v := range addr {
		o.Set("addr."+k, v)
	}
	if a.TlsCreds != nil {
		o.Set("tls-creds", *a.TlsCreds)
	}
	if a.TlsAuthz != nil {
		o.Set("tls-authz", *a.TlsAuthz)
	}
	if a.MaxConnections != nil {
		o.Set("max-connections", uint64(*a.MaxConnections))
	}
	return s.NBD.Start(ctx, o)
}

// flatAddress turns an address in the old form into the members of one in the new form.
func flatAddress(a *qapi.SocketAddressLegacy) map[string]any {
	m := map[string]any{"type": string(a.Type)}
	text := func(name string, v *string) {
		if v != nil {
			m[name] = *v
		}
	}
	flag := func(name string, v *bool) {
		if v != nil {
			m[name] = *v
		}
	}
	switch {
	case a.Inet != nil:
		d := a.Inet.Data
		m["host"], m["port"] = d.Host, d.Port
		flag("numeric", d.Numeric)
		flag("ipv4", d.Ipv4)
		flag("ipv6", d.Ipv6)
		flag("keep-alive", d.KeepAlive)
		if d.To != nil {
			m["to"] = uint64(*d.To)
		}
	case a.Unix != nil:
		d := a.Unix.Data
		text("path", &d.Path)
		flag("abstract", d.Abstract)
		flag("tight", d.Tight)
	case a.Vsock != nil:
		m["cid"], m["port"] = a.Vsock.Data.Cid, a.Vsock.Data.Port
	case a.Fd != nil:
		m["str"] = a.Fd.Data.Str
	}
	return m
}

// NbdServerStop implements qapi.BlockExportCommands.
func (s *Service) NbdServerStop(context.Context) error { return s.NBD.Stop() }

// NbdServerAdd implements qapi.BlockExportCommands.
func (s *Service) NbdServerAdd(ctx context.Context, a *qapi.NbdServerAddOptions) error {
	return s.locked(func() error {
		n, err := s.lookup(a.Device)
		if err != nil {
			return err
		}
		name := deref(a.Name, a.Device)
		o := block.OptionsOf("id", name, "name", name, "node-name", n.Name(), "writable", deref(a.Writable, false) && !n.ReadOnly())
		if a.Description != nil {
			o.Set("description", *a.Description)
		}
		if a.Bitmap != nil {
			o.Set("bitmaps.0", *a.Bitmap)
		}
		if err := s.NBD.Add(ctx, o); err != nil {
			return err
		}
		if b := s.Graph.FindBackend(a.Device); b != nil { // the export goes with the medium
			s.Exports.Find(name).Medium = b
		}
		return nil
	})
}

// ejected ends the exports that are bound to a medium.
// Preconditions: the graph lock is held.
func (s *Service) ejected(b *block.Backend) {
	for _, e := range s.Exports.OfMedium(b) {
		e.Medium = nil
		go e.RequestShutdown()
	}
}

// NbdServerRemove implements qapi.BlockExportCommands.
func (s *Service) NbdServerRemove(_ context.Context, a *qapi.NbdServerRemoveArg) error {
	return s.removeExport(a.Name, a.Mode)
}

// BlockExportAdd implements qapi.BlockExportCommands.
func (s *Service) BlockExportAdd(ctx context.Context, a *qapi.BlockExportOptions) error {
	o := block.OptionsOf("id", a.Id, "node-name", a.NodeName)
	for name, v := range map[string]*bool{"writable": a.Writable, "writethrough": a.Writethrough, "allocation-depth": a.Nbd.AllocationDepth} {
		if v != nil {
			o.Set(name, *v)
		}
	}
	for name, v := range map[string]*string{"name": a.Nbd.Name, "description": a.Nbd.Description} {
		if v != nil {
			o.Set(name, *v)
		}
	}
	for i, b := range a.Nbd.Bitmaps {
		key := "bitmaps." + strconv.Itoa(i)
		if b.Local != nil {
			o.Set(key, *b.Local)
			continue
		}
		o.Set(key+".node", b.External.Node)
		o.Set(key+".name", b.External.Name)
	}
	return s.locked(func() error {
		if err := s.Exports.CheckID(a.Id); err != nil {
			return err
		}
		n, err := s.Graph.Lookup("", a.NodeName)
		if err != nil {
			return err
		}
		if err := s.bindExport(a, n); err != nil {
			return err
		}
		err = s.NBD.Add(ctx, o)
		if e := s.Exports.Find(a.Id); err == nil && e != nil && deref(a.FixedIothread, false) {
			e.Backend().FixIOContext()
		}
		return err
	})
}

// bindExport binds the node of an export that is to be made to its thread. That need not succeed unless the export says so.
func (s *Service) bindExport(a *qapi.BlockExportOptions, n *block.Node) error {
	switch {
	case a.Iothread == nil || deref(a.Writable, false) && n.ReadOnly(): // which is refused anyhow
		return nil
	case s.IOThread == nil || !s.IOThread(*a.Iothread):
		return block.Errorf(unix.ENOENT, "iothread \"%s\" not found", *a.Iothread)
	case deref(a.FixedIothread, false):
		return n.SetIOContext(*a.Iothread)
	}
	_ = n.SetIOContext(*a.Iothread)
	return nil
}

// BlockExportDel implements qapi.BlockExportCommands.
func (s *Service) BlockExportDel(_ context.Context, a *qapi.BlockExportDelArg) error {
	return s.removeExport(a.Id, a.Mode)
}

func (s *Service) removeExport(id string, m *qapi.BlockExportRemoveMode) error {
	err := s.Exports.Remove(id, deref(m, qapi.BlockExportRemoveModeSafe) == qapi.BlockExportRemoveModeHard)
	s.Exports.Bury()
	return err
}

// QueryBlockExports implements qapi.BlockExportCommands.
func (s *Service) QueryBlockExports(context.Context) ([]*qapi.BlockExportInfo, error) {
	list := []*qapi.BlockExportInfo{}
	for _, i := range s.Exports.Infos() {
		list = append(list, &qapi.BlockExportInfo{Id: i.ID, Type: qapi.BlockExportType(i.Type), NodeName: i.NodeName, ShuttingDown: i.ShuttingDown})
	}
	return list, nil
}
