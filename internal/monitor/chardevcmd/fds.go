package chardevcmd

import (
	"context"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"goemu/internal/fdset"
	"goemu/internal/monitor/qmp"
	"goemu/qapi"
)

// received takes the descriptor that came along with a command.
func received(ctx context.Context) (int, error) {
	if s := qmp.SessionOf(ctx); s != nil {
		if fd, ok := s.TakeFD(); ok {
			return fd, nil
		}
	}
	return -1, qapi.Errorf("No file descriptor supplied via SCM_RIGHTS")
}

// Getfd implements qapi.MiscCommands.
func (s *Service) Getfd(ctx context.Context, arg *qapi.GetfdArg) error {
	fd, err := received(ctx)
	if err != nil {
		return err
	}
	if n := arg.Fdname; n != "" && n[0] >= '0' && n[0] <= '9' {
		_ = unix.Close(fd)
		return qapi.Errorf("Parameter 'fdname' expects a name not starting with a digit")
	}
	fdset.Default.SetNamed(arg.Fdname, fd)
	return nil
}

// Closefd implements qapi.MiscCommands.
func (s *Service) Closefd(_ context.Context, arg *qapi.ClosefdArg) error {
	fd, ok := fdset.Default.TakeNamed(arg.Fdname)
	if !ok {
		return noDescriptor(arg.Fdname)
	}
	return unix.Close(fd)
}

func noDescriptor(name string) error {
	return qapi.Errorf("File descriptor named '%s' not found", name)
}

// AddFd implements qapi.MiscCommands.
func (s *Service) AddFd(ctx context.Context, arg *qapi.AddFdArg) (*qapi.AddfdInfo, error) {
	fd, err := received(ctx)
	if err != nil {
		return nil, err
	}
	id, opaque := int64(-1), ""
	if arg.FdsetId != nil {
		if id = *arg.FdsetId; id < 0 {
			_ = unix.Close(fd)
			return nil, qapi.Errorf("Parameter 'fdset-id' expects a non-negative value")
		}
	}
	if arg.Opaque != nil {
		opaque = *arg.Opaque
	}
	return &qapi.AddfdInfo{FdsetId: fdset.Default.Add(id, fd, opaque), Fd: int64(fd)}, nil
}

// RemoveFd implements qapi.MiscCommands.
func (s *Service) RemoveFd(_ context.Context, arg *qapi.RemoveFdArg) error {
	fd, name := -1, fmt.Sprintf("fdset-id:%d", arg.FdsetId)
	if arg.Fd != nil {
		fd, name = int(*arg.Fd), fmt.Sprintf("%s, fd:%d", name, *arg.Fd)
	}
	if arg.Fd != nil && fd < 0 || !fdset.Default.Remove(arg.FdsetId, fd) {
		return noDescriptor(name)
	}
	return nil
}

// QueryFdsets implements qapi.MiscCommands.
func (s *Service) QueryFdsets(context.Context) ([]*qapi.FdsetInfo, error) {
	list := []*qapi.FdsetInfo{}
	for _, set := range slices.Backward(fdset.Default.Sets()) { // QEMU's order
		info := &qapi.FdsetInfo{FdsetId: set.ID}
		for _, m := range slices.Backward(set.FDs) {
			fd := &qapi.FdsetFdInfo{Fd: int64(m.FD)}
			if m.Opaque != "" {
				fd.Opaque = &m.Opaque
			}
			info.Fds = append(info.Fds, fd)
		}
		list = append(list, info)
	}
	return list, nil
}
