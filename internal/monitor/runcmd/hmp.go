package runcmd

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"goemu/internal/mainloop"
	"goemu/internal/monitor/hmp"
	"goemu/internal/trace"
	"goemu/qapi"
)

// HMP returns the commands for people, and those of info.
func (s *Service) HMP() (commands, info []*hmp.Command) {
	commands = []*hmp.Command{
		{Name: "quit|q", Help: "quit the emulator", Preconfig: true, Run: s.quit},
		{Name: "exit_preconfig", Help: "exit the preconfig state", Preconfig: true, Run: plain(s.XExitPreconfig)},
		{Name: "stop|s", Help: "stop emulation", Run: plain(s.Stop)},
		{Name: "cont|c", Help: "resume emulation", Run: plain(s.Cont)},
		{Name: "system_reset", Help: "reset the system", Run: plain(s.SystemReset)},
		{Name: "system_powerdown", Help: "send system power down event", Run: plain(s.SystemPowerdown)},
		{Name: "system_wakeup", Help: "wakeup guest from suspend", Run: plain(s.SystemWakeup)},
		{Name: "watchdog_action", Args: "action:s", Params: "[reset|shutdown|poweroff|pause|debug|none]", Help: "change watchdog action",
			Run: s.watchdogAction, Complete: watchdogActions},
		{Name: "log", Args: "items:s", Params: "item1[,...]", Help: "activate logging of the specified items", Run: logItems, Complete: logNames},
		{Name: "gdbserver", Args: "device:s?", Params: "[device]", Help: "start gdbserver on given device (default 'tcp::1234'), stop with 'none'", Run: s.gdbServer},
		{Name: "singlestep", Args: "option:s?", Params: "[on|off]", Help: "run emulation in singlestep mode or switch to normal mode", Run: s.singleStep},
		{Name: "logfile", Args: "filename:F", Params: "filename", Help: "output logs to 'filename'", Run: logFile},
	}
	info = []*hmp.Command{
		{Name: "version", Help: "show the version of QEMU", Preconfig: true, Run: s.infoVersion},
		{Name: "status", Help: "show the current VM status (running|paused)", Preconfig: true, Run: s.infoStatus},
		{Name: "name", Help: "show the current VM name", Preconfig: true, Run: s.infoName},
		{Name: "uuid", Help: "show the current VM UUID", Preconfig: true, Run: s.infoUUID},
		{Name: "kvm", Help: "show KVM information", Run: s.infoKVM},
	}
	command, state := s.traceCommands()
	return append(commands, command), append(info, state)
}

func (s *Service) quit(m *hmp.Monitor, _ *hmp.Args) error {
	m.End()
	return s.Quit(m.Context())
}

// singleStep is the command singlestep.
func (s *Service) singleStep(m *hmp.Monitor, a *hmp.Args) error {
	option := "on"
	if a.Has("option") {
		option = a.Text("option")
	}
	if option != "on" && option != "off" {
		m.Printf("unexpected option %s\n", option)
		return nil
	}
	s.SingleStep.Store(option == "on")
	if s.SetSingleStep != nil {
		s.SetSingleStep(option == "on")
	}
	return nil
}

// gdbServer is the command gdbserver.
func (s *Service) gdbServer(m *hmp.Monitor, a *hmp.Args) error {
	device := "tcp::1234"
	if a.Has("device") {
		device = a.Text("device")
	}
	mainloop.Lock.Lock()
	err := s.GDB(device)
	mainloop.Lock.Unlock()
	switch {
	case err != nil:
		m.Printf("%v\nCould not open gdbserver on device '%s'\n", err, device)
	case device == "none":
		m.Printf("Disabled gdbserver\n")
	default:
		m.Printf("Waiting for gdb connection on device '%s'\n", device)
	}
	return nil
}

// plain makes a command for people of one without arguments.
func plain(f func(context.Context) error) func(*hmp.Monitor, *hmp.Args) error {
	return func(m *hmp.Monitor, _ *hmp.Args) error { return f(m.Context()) }
}

func (s *Service) watchdogAction(m *hmp.Monitor, a *hmp.Args) error {
	action := a.Text("action")
	if !qapi.FindType("WatchdogAction").Accepts(action) {
		return errors.New("invalid parameter value: " + action)
	}
	return s.WatchdogSetAction(m.Context(), &qapi.WatchdogSetActionArg{Action: qapi.WatchdogAction(action)})
}

func watchdogActions(_ *hmp.Monitor, words []string) (list []string) {
	if len(words) == 2 {
		for _, v := range qapi.FindType("WatchdogAction").Values {
			list = append(list, v.Name)
		}
	}
	return list
}

func (s *Service) infoVersion(m *hmp.Monitor, _ *hmp.Args) error {
	v := s.Version.Qemu
	m.Printf("%d.%d.%d%s\n", v.Major, v.Minor, v.Micro, s.Version.Package)
	return nil
}

func (s *Service) infoStatus(m *hmp.Monitor, _ *hmp.Args) error {
	info, err := s.QueryStatus(m.Context())
	if err != nil {
		return err
	}
	text := "paused"
	if info.Running {
		text = "running"
	}
	m.Printf("VM status: %s", text)
	if info.Singlestep {
		m.Printf(" (single step mode)")
	}
	if !info.Running && info.Status != qapi.RunStatePaused {
		m.Printf(" (%s)", info.Status)
	}
	m.Printf("\n")
	return nil
}

func (s *Service) infoName(m *hmp.Monitor, _ *hmp.Args) error {
	if s.Name != "" {
		m.Printf("%s\n", s.Name)
	}
	return nil
}

func (s *Service) infoUUID(m *hmp.Monitor, _ *hmp.Args) error {
	m.Printf("%s\n", cmp.Or(s.UUID, zeroUUID))
	return nil
}

func (s *Service) infoKVM(m *hmp.Monitor, _ *hmp.Args) error {
	info, err := s.QueryKvm(m.Context())
	if err != nil {
		return err
	}
	text := "disabled"
	switch {
	case !info.Present:
		text = "not compiled"
	case info.Enabled:
		text = "enabled"
	}
	m.Printf("kvm support: %s\n", text)
	return nil
}

// logItems is the command log.
func logItems(m *hmp.Monitor, a *hmp.Args) error {
	items := a.Text("items")
	if items == "none" {
		trace.Set(0)
		return nil
	}
	items = trace.EnableItems(items, func(name string) { m.Printf("warning: trace event '%s' does not exist\n", name) })
	set, bad := trace.Parse(items)
	if bad != "" {
		m.Printf("%s", m.LogItems)
		return nil
	}
	trace.Set(set)
	return nil
}

func logNames(_ *hmp.Monitor, words []string) (list []string) {
	if len(words) == 2 {
		list = append(list, "none")
		for _, i := range trace.Items {
			list = append(list, i.Name)
		}
	}
	return slices.DeleteFunc(list, func(s string) bool { return strings.ContainsAny(s, " ") })
}

func logFile(_ *hmp.Monitor, a *hmp.Args) error { return trace.SetFile(a.Text("filename")) }
