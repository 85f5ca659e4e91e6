# Runs zuul-registry on a port that the system picks, and prints the port to standard output.
#
#   zuul-registry.py CONFIG
import sys

import cherrypy
from zuul_registry.main import RegistryServer

server = RegistryServer(sys.argv[1])
server.start()
# Set the realm, which contains the port, only now that the port is known.
cherrypy.tools.check_auth.public_url = "http://127.0.0.1:%d" % server.port
print("listening on 127.0.0.1:%d" % server.port, flush=True)
cherrypy.engine.block()
