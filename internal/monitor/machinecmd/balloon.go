package machinecmd

import (
	"context"

	"goemu/internal/mainloop"
	"goemu/internal/monitor/hmp"
	"goemu/qapi"
)

// Balloon is a device through which the guest gives memory back.
type Balloon interface {
	// Actual is how much memory the guest has left.
	Actual() uint64
	// SetTarget asks it to make do with so much.
	SetTarget(size uint64)
}

// balloon calls f with the machine's balloon under the machine lock.
func (s *Service) balloon(f func(Balloon) error) error {
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	t := s.Machine()
	if t == nil || t.Balloon() == nil {
		return &qapi.Error{Class: qapi.QapiErrorClassDeviceNotActive, Desc: "No balloon device has been activated"}
	}
	return f(t.Balloon())
}

// Balloon implements qapi.MachineCommands.
func (s *Service) Balloon(_ context.Context, arg *qapi.BalloonArg) error {
	return s.balloon(func(b Balloon) error {
		if arg.Value <= 0 {
			return qapi.Errorf("Parameter 'target' expects a size")
		}
		b.SetTarget(uint64(arg.Value))
		return nil
	})
}

// QueryBalloon implements qapi.MachineCommands.
func (s *Service) QueryBalloon(context.Context) (info *qapi.BalloonInfo, err error) {
	err = s.balloon(func(b Balloon) error {
		info = &qapi.BalloonInfo{Actual: int64(b.Actual())}
		return nil
	})
	return info, err
}

func (s *Service) infoBalloon(m *hmp.Monitor, _ *hmp.Args) error {
	info, err := s.QueryBalloon(m.Context())
	if err == nil {
		m.Printf("balloon: actual=%d\n", info.Actual>>20)
	}
	return err
}

// QueryVmGenerationId implements qapi.MachineCommands.
func (s *Service) QueryVmGenerationId(context.Context) (*qapi.GuidInfo, error) {
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	id := s.Machine().Generation()
	if id == "" {
		return nil, qapi.Errorf("VM Generation ID device not found")
	}
	return &qapi.GuidInfo{Guid: id}, nil
}

func (s *Service) infoGeneration(m *hmp.Monitor, _ *hmp.Args) error {
	info, err := s.QueryVmGenerationId(m.Context())
	if err == nil {
		m.Printf("%s\n", info.Guid)
	}
	return err
}
