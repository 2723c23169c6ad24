package cli

import (
	"fmt"
	"strings"

	"goemu/internal/config"
)

// smpKeys are the members of -smp in the order of the hierarchy.
var smpKeys = [...]string{"cpus", "sockets", "dies", "clusters", "cores", "threads", "maxcpus"}

func (p *parser) smp(v string) error {
	if isHelp(v) {
		return p.errorf("members are %s", strings.Join(smpKeys[:], ", "))
	}
	s := &p.VM.SMP
	fields := map[string]*int{"cpus": &s.CPUs, "sockets": &s.Sockets, "dies": &s.Dies, "cores": &s.Cores, "threads": &s.Threads, "maxcpus": &s.MaxCPUs}
	for _, pr := range config.ParseOpts(v, "cpus") {
		n, err := parseNumber(pr.Key, pr.Value.(string))
		f, known := fields[pr.Key]
		switch {
		case pr.Key == "clusters":
			if err == nil && n > 1 {
				return fmt.Errorf("clusters not supported by this machine's CPU topology")
			}
		case !known:
			return p.errorf("Invalid parameter '%s'", pr.Key)
		case err != nil:
			return p.errorf("%w", err)
		case n == 0:
			p.Warnings = append(p.Warnings, "warning: Deprecated CPU topology (considered invalid): CPU topology parameters must be greater than zero")
		case n > 1<<16:
			return p.errorf("Invalid SMP CPUs %d. The max CPUs supported by the machine is 255", n)
		default:
			*f = int(n)
		}
	}
	return nil
}

// resolveSMP fills in what -smp left out: the machine prefers cores over sockets over threads.
func (p *parser) resolveSMP() error {
	s := &p.VM.SMP
	or1 := func(n int) int { return max(n, 1) }
	dies := or1(s.Dies)
	if s.CPUs == 0 && s.MaxCPUs == 0 {
		s.Sockets, s.Cores, s.Threads = or1(s.Sockets), or1(s.Cores), or1(s.Threads)
	} else {
		total := s.MaxCPUs
		if total == 0 {
			total = s.CPUs
		}
		switch {
		case s.Cores == 0:
			s.Sockets, s.Threads = or1(s.Sockets), or1(s.Threads)
			s.Cores = total / (s.Sockets * dies * s.Threads)
		case s.Sockets == 0:
			s.Threads = or1(s.Threads)
			s.Sockets = total / (dies * s.Cores * s.Threads)
		case s.Threads == 0:
			s.Threads = total / (s.Sockets * dies * s.Cores)
		}
	}
	s.Dies = dies
	product := s.Sockets * s.Dies * s.Cores * s.Threads
	if s.MaxCPUs == 0 {
		s.MaxCPUs = max(product, s.CPUs)
	}
	if s.CPUs == 0 {
		s.CPUs = s.MaxCPUs
	}
	if product != s.MaxCPUs {
		return fmt.Errorf("Invalid CPU topology: product of the hierarchy must match maxcpus: sockets (%d) * dies (%d) * cores (%d) * threads (%d) != maxcpus (%d)",
			s.Sockets, s.Dies, s.Cores, s.Threads, s.MaxCPUs)
	}
	if s.MaxCPUs < s.CPUs {
		return fmt.Errorf("Invalid CPU topology: maxcpus must be equal to or greater than smp: sockets (%d) * dies (%d) * cores (%d) * threads (%d) == maxcpus (%d) < smp_cpus (%d)",
			s.Sockets, s.Dies, s.Cores, s.Threads, s.MaxCPUs, s.CPUs)
	}
	return nil
}
