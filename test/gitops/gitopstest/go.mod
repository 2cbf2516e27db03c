module github.com/embedded-user-operator/embedded-user-operator/test/gitops/gitopstest

go 1.26.0
