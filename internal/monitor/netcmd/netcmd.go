// Package netcmd has the commands about the network.
package netcmd

import (
	"context"

	"goemu/internal/mainloop"
	"goemu/internal/netdev"
	"goemu/qapi"
)

// Service carries the commands out.
type Service struct {
	Set *netdev.Set
	// Announcements are the rounds of announcements where nobody says otherwise: the parameters of migrations.
	Announcements func() qapi.AnnounceParameters
}

// SetLink implements qapi.NetCommands.
func (s *Service) SetLink(_ context.Context, arg *qapi.SetLinkArg) error {
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	return s.Set.SetLink(arg.Name, arg.Up)
}

// NetdevAdd implements qapi.NetCommands.
func (s *Service) NetdevAdd(_ context.Context, arg *qapi.Netdev) error {
	if !netdev.IsID(arg.Id) {
		return qapi.Errorf("Parameter 'id' expects an identifier")
	}
	return s.Set.Open(arg)
}

// NetdevDel implements qapi.NetCommands.
func (s *Service) NetdevDel(_ context.Context, arg *qapi.NetdevDelArg) error {
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	return s.Set.Delete(arg.Id)
}

// QueryRxFilter implements qapi.NetCommands.
func (s *Service) QueryRxFilter(_ context.Context, arg *qapi.QueryRxFilterArg) ([]*qapi.RxFilterInfo, error) {
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	return s.Set.RxFilters(arg.Name)
}

// AnnounceSelf implements qapi.NetCommands.
func (s *Service) AnnounceSelf(_ context.Context, arg *qapi.AnnounceParameters) error {
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	s.Set.Announce(arg)
	return nil
}
