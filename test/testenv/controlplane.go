// SPDX-License-Identifier: Apache-2.0

package testenv

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/embedded-user-operator/embedded-user-operator/internal/controller"
)

// stopPatience bounds the shutdown of etcd, of kube-apiserver, and of a process.
const stopPatience = time.Minute

// Options of a control plane.
type Options struct {
	// Restartable lets RestartAPIServer restart the API server.
	Restartable bool
	// Audited has the API server write the file AuditLog.
	Audited bool
	// Configure changes the parameters of etcd and kube-apiserver, if set.
	Configure func(*envtest.Environment)
}

// ControlPlane is a running etcd and kube-apiserver with the operator's CRDs.
type ControlPlane struct {
	Config     *rest.Config // of an administrator
	Client     client.Client
	Kubeconfig string // path
	Folder     string // for temporary files
	AuditLog   string // path; empty if the control plane is not Audited

	environment *envtest.Environment
	controllers []*Process // of kube-controller-manager
	restarting  sync.Mutex
}

// discardLogs discards the log of controller-runtime. Several control planes may start at once, and SetLogger is not made for that.
var discardLogs = sync.OnceFunc(func() { ctrl.SetLogger(logr.Discard()) })

// Start starts a control plane from the programs in KUBEBUILDER_ASSETS.
func Start(options Options) (_ *ControlPlane, err error) {
	discardLogs()
	c := &ControlPlane{}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Stop())
		}
	}()
	if c.Folder, err = os.MkdirTemp("", "embedded-user-operator-"); err != nil {
		return nil, fmt.Errorf("creating a folder: %w", err)
	}
	environment := &envtest.Environment{
		CRDDirectoryPaths: []string{Root("config", "crd", "bases")}, ErrorIfCRDPathMissing: true,
		ControlPlaneStopTimeout: stopPatience,
	}
	if options.Restartable {
		if err := c.makeRestartable(environment); err != nil {
			return nil, err
		}
	}
	if options.Audited {
		if err := c.audit(environment); err != nil {
			return nil, err
		}
	}
	if options.Configure != nil {
		options.Configure(environment)
	}
	c.environment = environment
	if c.Config, err = environment.Start(); err != nil {
		return nil, fmt.Errorf("starting the control plane (KUBEBUILDER_ASSETS must be the output of hack/control-plane.sh): %w", err)
	}
	c.Config.QPS = -1 // no limit
	c.Config.WarningHandler = rest.NoWarnings{}
	if c.Client, err = client.New(c.Config, client.Options{Scheme: controller.NewScheme()}); err != nil {
		return nil, fmt.Errorf("creating a client: %w", err)
	}
	c.Kubeconfig = filepath.Join(c.Folder, "kubeconfig")
	if err := os.WriteFile(c.Kubeconfig, environment.KubeConfig, 0o600); err != nil {
		return nil, fmt.Errorf("writing the kubeconfig: %w", err)
	}
	return c, nil
}

func (c *ControlPlane) makeRestartable(environment *envtest.Environment) error {
	server := environment.ControlPlane.GetAPIServer()
	server.Configure().Set("request-timeout", "5s")   // the shutdown waits this long for open connections
	server.CertDir = filepath.Join(c.Folder, "certs") // by default envtest deletes the certificates with the process
	if err := os.Mkdir(server.CertDir, 0o700); err != nil {
		return fmt.Errorf("creating a folder: %w", err)
	}
	return nil
}

// auditPolicy has the API server log who asks for what, and which role allows it.
const auditPolicy = `
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
`

func (c *ControlPlane) audit(environment *envtest.Environment) error {
	policy := filepath.Join(c.Folder, "audit-policy.yaml")
	if err := os.WriteFile(policy, []byte(auditPolicy), 0o600); err != nil {
		return fmt.Errorf("writing the audit policy: %w", err)
	}
	c.AuditLog = filepath.Join(c.Folder, "audit.log")
	environment.ControlPlane.GetAPIServer().Configure().Set("audit-policy-file", policy).Set("audit-log-path", c.AuditLog)
	return nil
}

// Stop stops the control plane and removes its folder.
func (c *ControlPlane) Stop() error {
	for _, controller := range c.controllers {
		controller.Kill()
	}
	var err error
	if c.environment != nil {
		err = c.environment.Stop()
	}
	if err = errors.Join(err, os.RemoveAll(c.Folder)); err != nil {
		return fmt.Errorf("stopping the control plane: %w", err)
	}
	return nil
}

// Etcd returns etcd, for its address and folder.
func (c *ControlPlane) Etcd() *envtest.Etcd { return c.environment.ControlPlane.Etcd }

// RestartAPIServer stops the API server and starts it again.
func (c *ControlPlane) RestartAPIServer() error {
	c.restarting.Lock()
	defer c.restarting.Unlock()
	server := c.environment.ControlPlane.GetAPIServer()
	if err := errors.Join(server.Stop(), server.Start()); err != nil {
		return fmt.Errorf("restarting the API server: %w", err)
	}
	return nil
}

// StartGarbageCollector starts the garbage collector.
func (c *ControlPlane) StartGarbageCollector() (*Process, error) {
	return c.startController("garbage-collector-controller")
}

// StartRoleAggregation starts the controller that adds ClusterRoles to view, edit and admin.
func (c *ControlPlane) StartRoleAggregation() (*Process, error) {
	return c.startController("clusterrole-aggregation-controller")
}

// startController starts one controller of the program KUBE_CONTROLLER_MANAGER. It runs until it is killed or the control plane stops.
func (c *ControlPlane) startController(name string) (*Process, error) {
	//nolint:gosec,noctx // the program that the Makefile names; Stop stops it
	command := exec.Command(os.Getenv("KUBE_CONTROLLER_MANAGER"), "--kubeconfig", c.Kubeconfig,
		"--controllers="+name, "--leader-elect=false", "--secure-port=0")
	controller, err := StartProcess(command)
	if err != nil {
		return nil, fmt.Errorf("starting the %s "+
			"(KUBE_CONTROLLER_MANAGER must be the output of hack/control-plane.sh kube-controller-manager): %w", name, err)
	}
	c.controllers = append(c.controllers, controller)
	return controller, nil
}

// Kubectl returns a command that runs kubectl as an administrator.
func (c *ControlPlane) Kubectl(ctx context.Context, args ...string) *exec.Cmd {
	//nolint:gosec // the arguments of a test
	return exec.CommandContext(ctx, c.environment.ControlPlane.KubectlPath, append([]string{"--kubeconfig", c.Kubeconfig}, args...)...)
}

// Main starts a control plane, prepares it, runs the tests of a package, and exits. A nil prepare does nothing.
func Main(m *testing.M, options Options, prepare func(*ControlPlane) error) {
	os.Exit(run(m, options, prepare))
}

func run(m *testing.M, options Options, prepare func(*ControlPlane) error) int {
	plane, err := Start(options)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer plane.Stop() //nolint:errcheck // the tests are over
	if err := prepare(plane); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}
