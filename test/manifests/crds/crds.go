// SPDX-License-Identifier: Apache-2.0

// Package crds is in a module of its own, which names the version of the Prometheus operator whose CRDs the tests install.
package crds

import _ "github.com/prometheus-operator/prometheus-operator/pkg/versionutil" // the module has the CRDs as files; its smallest package
