# Runs zuul-registry on a port that the system picks, which it says on standard output.
#
#   zuul-registry.py CONFIG
import sys

import cherrypy
from zuul_registry.main import RegistryServer

server = RegistryServer(sys.argv[1])
server.start()
# Its own realm is on a port that was not known before.
cherrypy.tools.check_auth.public_url = "http://127.0.0.1:%d" % server.port
print("listening on 127.0.0.1:%d" % server.port, flush=True)
cherrypy.engine.block()
