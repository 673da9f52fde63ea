package stage1

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"sync/atomic"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// InitName is argv[0] of a pod's first process.
const InitName = "rkt-pod-init"

// Init is the pod's first process: the one that all apps' namespaces belong to
// and that reaps their orphans. It sees no file of the host and has no
// privileges left: ARGV is the host name, the folder to see, and "net" when the
// network namespace is the pod's own. It writes a byte to descriptor 3 when the
// namespaces are ready.
func Init(argv []string) int {
	if err := initMain(argv); err != nil {
		fmt.Fprintf(os.Stderr, "rkt: first process of the pod: %v\n", err)
		return 1
	}
	return 0
}

func initMain(argv []string) error {
	if len(argv) != 3 || os.Getpid() != 1 {
		return errors.New("not to be called by hand")
	}
	// Every signal is caught or ignored: nothing that an app sends can end it.
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2,
		syscall.SIGALRM, syscall.SIGPIPE, syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU)
	if argv[0] != "" {
		if err := unix.Sethostname([]byte(argv[0])); err != nil {
			return os.NewSyscallError("sethostname", err)
		}
	}
	if argv[2] == "net" {
		lo, err := netlink.LinkByName("lo")
		if err == nil {
			err = netlink.LinkSetUp(lo)
		}
		if err != nil {
			return fmt.Errorf("interface lo: %w", err)
		}
	}
	if err := hideHost(argv[1]); err != nil {
		return err
	}
	if err := dropPrivileges(); err != nil {
		return err
	}
	ready := os.NewFile(3, "ready")
	if _, err := ready.Write([]byte{1}); err != nil {
		return err
	}
	ready.Close()
	return reap()
}

// hideHost leaves the process in an empty, read-only root. Its mount namespace
// then holds no mount of the host, so none of them is kept busy by it.
func hideHost(dir string) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return os.NewSyscallError("make mounts private", err)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=0555,size=4k"); err != nil {
		return os.NewSyscallError("mount", err)
	}
	if err := unix.Chdir(dir); err != nil {
		return os.NewSyscallError("chdir", err)
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return os.NewSyscallError("pivot_root", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return os.NewSyscallError("umount", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return os.NewSyscallError("remount read-only", err)
	}
	return os.NewSyscallError("chdir", unix.Chdir("/"))
}

// nobody is the id of a user with no rights.
const nobody = 65534

// dropPrivileges: no group, no user, no capability, not to be traced.
func dropPrivileges() error {
	if err := syscall.Setgroups(nil); err != nil {
		return os.NewSyscallError("setgroups", err)
	}
	if err := syscall.Setresgid(nobody, nobody, nobody); err != nil {
		return os.NewSyscallError("setresgid", err)
	}
	if err := syscall.Setresuid(nobody, nobody, nobody); err != nil {
		return os.NewSyscallError("setresuid", err)
	}
	return os.NewSyscallError("prctl", unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0))
}

// reap waits for orphans for ever.
func reap() error {
	children := make(chan os.Signal, 1)
	signal.Notify(children, syscall.SIGCHLD)
	for {
		for {
			pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil)
			if errors.Is(err, unix.EINTR) {
				continue
			}
			if err != nil || pid <= 0 {
				break
			}
		}
		<-children
	}
}

// sandbox is a running first process.
type sandbox struct {
	cmd     *exec.Cmd
	stopped atomic.Bool
}

// startSandbox makes the namespaces that the pod's apps share.
func startSandbox(hostname, emptyDir string, ownNet, ownIPC bool) (*sandbox, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	cmd := exec.Command("/proc/self/exe")
	network := "host"
	flags := unix.CLONE_NEWPID | unix.CLONE_NEWUTS | unix.CLONE_NEWNS
	if ownNet {
		flags |= unix.CLONE_NEWNET
		network = "net"
	}
	if ownIPC {
		flags |= unix.CLONE_NEWIPC
	}
	cmd.Args = []string{InitName, hostname, emptyDir, network}
	cmd.Env = []string{"GOMAXPROCS=1", "GOGC=off"}
	cmd.ExtraFiles = []*os.File{w}
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: uintptr(flags), Setsid: true}
	err = cmd.Start()
	w.Close()
	if err != nil {
		return nil, fmt.Errorf("namespaces of the pod: %w", err)
	}
	if _, err := r.Read(make([]byte, 1)); err != nil {
		cmd.Process.Kill()
		cmd.Wait()
		return nil, errors.New("namespaces of the pod: the first process did not start")
	}
	return &sandbox{cmd: cmd}, nil
}

func (s *sandbox) pid() int { return s.cmd.Process.Pid }

func (s *sandbox) ns(kind string) string {
	return "/proc/" + strconv.Itoa(s.pid()) + "/ns/" + kind
}

// stop ends every process of the pod: the kernel kills a PID namespace with its first process.
func (s *sandbox) stop() {
	if s.stopped.Swap(true) {
		return
	}
	s.cmd.Process.Kill()
	s.cmd.Wait()
}
