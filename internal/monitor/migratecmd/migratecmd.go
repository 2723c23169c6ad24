// Package migratecmd has the commands about migration.
package migratecmd

import (
	"context"
	"net"
	"reflect"
	"strings"

	"goemu/block/job"
	"goemu/internal/memory"
	"goemu/migration"
	"goemu/migration/channel"
	"goemu/qapi"
)

// Service carries the commands out.
type Service struct {
	Engine *migration.Engine
	// Files finds descriptors that clients handed over.
	Files channel.Files
	// Jobs are where the jobs about snapshots belong.
	Jobs *job.List
}

// QueryMigrate implements qapi.MigrationCommands.
func (s *Service) QueryMigrate(context.Context) (*qapi.MigrationInfo, error) {
	i := s.Engine.Query()
	out := &qapi.MigrationInfo{BlockedReasons: i.Blockers}
	if i.Status != migration.None {
		out.Status = ptr(qapi.MigrationStatus(i.Status))
	}
	if i.Err != nil {
		out.ErrorDesc = ptr(i.Err.Error())
	}
	if i.Listening != nil {
		out.SocketAddress = []*qapi.SocketAddress{socketAddress(i.Listening)}
	}
	f := i.Source
	if f == nil {
		return out, nil
	}
	out.SetupTime, out.TotalTime = &f.Setup, &f.Total
	if f.Completed {
		out.Downtime = &f.Downtime
	} else {
		out.ExpectedDowntime = &f.ExpectedDown
	}
	if f.Throttle != 0 {
		out.CpuThrottlePercentage = ptr(int64(f.Throttle))
	}
	out.Ram = &qapi.MigrationStats{
		Transferred: int64(f.Transferred), Total: int64(f.RAMTotal), Duplicate: int64(f.Duplicate), Normal: int64(f.Normal),
		NormalBytes: int64(f.Normal * memory.PageSize), Mbps: f.MBPS, DirtySyncCount: int64(f.DirtySyn), PageSize: memory.PageSize,
		PagesPerSecond: f.PagesPerSecond, PrecopyBytes: f.PrecopyBytes, DowntimeBytes: f.DowntimeBytes,
		MultifdBytes: f.MultifdBytes,
	}
	if x := f.XBZRLE; x != nil {
		out.XbzrleCache = &qapi.XBZRLECacheStats{CacheSize: x.CacheSize, Bytes: int64(x.Bytes), Pages: int64(x.Pages), CacheMiss: int64(x.Misses),
			CacheMissRate: x.MissRate, EncodingRate: x.EncodingRate, Overflow: int64(x.Overflow)}
	}
	if !f.Completed {
		out.Ram.Remaining, out.Ram.DirtyPagesRate = int64(f.Remaining), int64(f.DirtyRate)
	}
	return out, nil
}

// socketAddress is an address as QMP has it.
func socketAddress(a net.Addr) *qapi.SocketAddress {
	switch a.Network() {
	case "unix":
		return &qapi.SocketAddress{Type: qapi.SocketAddressTypeUnix, Unix: &qapi.UnixSocketAddress{Path: a.String()}}
	case "vsock":
		cid, port, _ := strings.Cut(a.String(), ":")
		return &qapi.SocketAddress{Type: qapi.SocketAddressTypeVsock, Vsock: &qapi.VsockSocketAddress{Cid: cid, Port: port}}
	}
	host, port, _ := net.SplitHostPort(a.String())
	return &qapi.SocketAddress{Type: qapi.SocketAddressTypeInet, Inet: &qapi.InetSocketAddress{Host: host, Port: port}}
}

func ptr[T any](v T) *T { return &v }

// MigrateSetCapabilities implements qapi.MigrationCommands.
func (s *Service) MigrateSetCapabilities(_ context.Context, arg *qapi.MigrateSetCapabilitiesArg) error {
	set := map[migration.Capability]bool{}
	for _, c := range arg.Capabilities {
		if k, ok := migration.FindCapability(string(c.Capability)); ok {
			set[k] = c.State
		}
	}
	return s.Engine.SetCapabilities(set)
}

// QueryMigrateCapabilities implements qapi.MigrationCommands.
func (s *Service) QueryMigrateCapabilities(context.Context) (out []*qapi.MigrationCapabilityStatus, err error) {
	for _, c := range migration.Capabilities() {
		out = append(out, &qapi.MigrationCapabilityStatus{Capability: qapi.MigrationCapability(c.String()), State: s.Engine.Capability(c)})
	}
	return out, nil
}

// MigrateSetParameters implements qapi.MigrationCommands.
func (s *Service) MigrateSetParameters(_ context.Context, arg *qapi.MigrateSetParameters) error {
	return s.Engine.SetParameters(func(p *migration.Parameters) {
		to, from := reflect.ValueOf(p).Elem(), reflect.ValueOf(arg).Elem()
		for i := range from.NumField() {
			v, f := from.Field(i), to.FieldByName(from.Type().Field(i).Name)
			if v.IsNil() || v.Kind() == reflect.Slice {
				continue
			}
			if alt, ok := v.Interface().(*qapi.StrOrNull); ok {
				text := ""
				if alt.S != nil {
					text = *alt.S
				}
				f.SetString(text)
				continue
			}
			f.Set(v.Elem().Convert(f.Type()))
		}
		if arg.BlockBitmapMapping != nil {
			p.BlockBitmapMapping = mappingOf(arg.BlockBitmapMapping)
		}
	})
}

// QueryMigrateParameters implements qapi.MigrationCommands.
func (s *Service) QueryMigrateParameters(context.Context) (*qapi.MigrationParameters, error) {
	p, out := s.Engine.Parameters(), new(qapi.MigrationParameters)
	from, to := reflect.ValueOf(&p).Elem(), reflect.ValueOf(out).Elem()
	for i := range to.NumField() {
		f := to.Field(i)
		if f.Kind() == reflect.Slice {
			continue
		}
		f.Set(reflect.New(f.Type().Elem()))
		f.Elem().Set(from.FieldByName(to.Type().Field(i).Name).Convert(f.Type().Elem()))
	}
	out.BlockBitmapMapping = mappingInfo(p.BlockBitmapMapping)
	return out, nil
}

// MigrateCancel implements qapi.MigrationCommands.
func (s *Service) MigrateCancel(context.Context) error {
	s.Engine.Cancel()
	return nil
}

// MigrateStartPostcopy implements qapi.MigrationCommands.
func (s *Service) MigrateStartPostcopy(context.Context) error { return s.Engine.StartPostcopy() }

// MigrateContinue implements qapi.MigrationCommands.
func (s *Service) MigrateContinue(_ context.Context, arg *qapi.MigrateContinueArg) error {
	return s.Engine.Continue(migration.Status(arg.State))
}

// Migrate implements qapi.MigrationCommands.
func (s *Service) Migrate(_ context.Context, arg *qapi.MigrateArg) error {
	switch {
	case arg.Resume != nil && *arg.Resume:
		return qapi.Errorf("Cannot resume if there is no paused migration")
	case arg.Blk != nil && *arg.Blk, arg.Inc != nil && *arg.Inc:
		return qapi.Errorf("QEMU compiled without old-style (blk/-b, inc/-i) block migration")
	}
	return s.Engine.Migrate(arg.Uri, s.Files)
}

// MigrateIncoming implements qapi.MigrationCommands.
func (s *Service) MigrateIncoming(_ context.Context, arg *qapi.MigrateIncomingArg) error {
	return s.Engine.Incoming(arg.Uri, s.Files)
}
