package runcmd

import (
	"context"

	"goemu/internal/monitor/hmp"
	"goemu/internal/trace"
	"goemu/qapi"
)

// traceEvents finds the events of a name or pattern.
func traceEvents(name string) ([]trace.EventState, error) {
	list := trace.Events(name)
	if len(list) == 0 && !trace.IsPattern(name) {
		return nil, qapi.Errorf("unknown event \"%s\"", name)
	}
	return list, nil
}

// TraceEventGetState implements qapi.TraceCommands.
func (s *Service) TraceEventGetState(_ context.Context, arg *qapi.TraceEventGetStateArg) ([]*qapi.TraceEventInfo, error) {
	events, err := traceEvents(arg.Name)
	if err != nil {
		return nil, err
	}
	list := []*qapi.TraceEventInfo{}
	for _, e := range events {
		state := qapi.TraceEventStateDisabled
		if e.On {
			state = qapi.TraceEventStateEnabled
		}
		list = append(list, &qapi.TraceEventInfo{Name: e.Name, State: state})
	}
	return list, nil
}

// TraceEventSetState implements qapi.TraceCommands.
func (s *Service) TraceEventSetState(_ context.Context, arg *qapi.TraceEventSetStateArg) error {
	if _, err := traceEvents(arg.Name); err != nil {
		return err
	}
	trace.SetEvents(arg.Name, arg.Enable)
	return nil
}

// traceCommands are the commands for people about tracing.
func (s *Service) traceCommands() (command, info *hmp.Command) {
	names := func(_ *hmp.Monitor, words []string) (list []string) {
		if len(words) == 2 {
			for _, e := range trace.Events("*") {
				list = append(list, e.Name)
			}
		} else if len(words) == 3 {
			list = []string{"on", "off"}
		}
		return list
	}
	command = &hmp.Command{Name: "trace-event", Args: "name:s,option:b", Params: "name on|off",
		Help: "changes status of a specific trace event", Complete: names,
		Run: func(m *hmp.Monitor, a *hmp.Args) error {
			arg := &qapi.TraceEventSetStateArg{Name: a.Text("name"), Enable: a.Bool("option")}
			if err := s.TraceEventSetState(m.Context(), arg); err != nil {
				m.Printf("%v\n", err) // QEMU puts no "Error: " before these
			}
			return nil
		}}
	info = &hmp.Command{Name: "trace-events", Args: "name:s?", Params: "[name]",
		Help: "show available trace-events & their state (name: event name pattern)", Complete: names,
		Run: func(m *hmp.Monitor, a *hmp.Args) error {
			arg := &qapi.TraceEventGetStateArg{Name: "*"}
			if a.Has("name") {
				arg.Name = a.Text("name")
			}
			list, err := s.TraceEventGetState(m.Context(), arg)
			if err != nil {
				m.Printf("%v\n", err)
			}
			for _, e := range list {
				state := 0
				if e.State == qapi.TraceEventStateEnabled {
					state = 1
				}
				m.Printf("%s : state %d\n", e.Name, state)
			}
			return nil
		}}
	return command, info
}

// QueryCommandLineOptions implements qapi.MiscCommands.
func (s *Service) QueryCommandLineOptions(_ context.Context, arg *qapi.QueryCommandLineOptionsArg) ([]*qapi.CommandLineOptionInfo, error) {
	if arg.Option == nil {
		return s.Options, nil
	}
	for _, o := range s.Options {
		if o.Option == *arg.Option {
			return []*qapi.CommandLineOptionInfo{o}, nil
		}
	}
	return nil, qapi.Errorf("invalid option name: %s", *arg.Option)
}
