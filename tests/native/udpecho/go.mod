module photonbuild.invalid/udpecho

go 1.26.0
